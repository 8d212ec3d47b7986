-- What people prove themselves with besides a password: a secret shared with an app (sealed with the shop's), and codes for when it is lost (as hashes).

create table totp (
    user_id text primary key references users (id),
    sealed text not null,
    last_step integer not null,
    made_at text not null,
    confirmed_at text
);

create table recovery_code (
    hash text primary key,
    user_id text not null references users (id)
);

create index recovery_code_of_user on recovery_code (user_id);
