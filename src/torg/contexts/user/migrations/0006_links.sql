-- Which address of a user was confirmed, the links that letters carry (as hashes), and who has asked for a new password and is to be written to.

alter table users add column confirmed_email text;

create table one_time_link (
    hash text primary key,
    user_id text not null references users (id),
    purpose text not null,
    email text not null,
    made_at text not null,
    expires_at text not null
);

create index one_time_link_of_user on one_time_link (user_id, purpose);
create index one_time_link_until on one_time_link (expires_at);

create table reset_request (
    id text primary key,
    email text not null,
    asked_at text not null
);
