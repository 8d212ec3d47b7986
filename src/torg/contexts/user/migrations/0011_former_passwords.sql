-- Hashes of passwords that somebody of the staff has had, the newest first by its number; only where TORG_STAFF_PASSWORDS asks for it.

create table former_password (
    user_id text not null references users (id),
    number integer not null,
    hash text not null,
    primary key (user_id, number)
);
