-- Users, what they sign in with, their sessions, and where they live.

create table users (
    id text primary key,
    email text not null,
    email_key text unique,
    password_hash text not null,
    full_name text not null,
    city text not null,
    birth_date text,
    language text not null,
    roles text not null,
    created_at text not null,
    updated_at text not null,
    erased_at text
);

create index users_by_date on users (created_at, id);

-- A session is a family of token pairs: the newest pair is here, as hashes; the refresh tokens before it are in spent_token.
create table session (
    id text primary key,
    user_id text not null references users (id),
    access_hash text not null unique,
    access_until text not null,
    refresh_hash text not null unique,
    refresh_until text not null,
    address text not null,
    created_at text not null,
    refreshed_at text not null
);

create index session_of_user on session (user_id);
create index session_until on session (refresh_until);

create table spent_token (
    hash text primary key,
    session_id text not null references session (id) on delete cascade
);

create index spent_token_of_session on spent_token (session_id);

create table address (
    id text primary key,
    user_id text not null references users (id),
    city text not null,
    street text not null,
    postcode text not null,
    country text not null,
    is_default integer not null,
    created_at text not null
);

create index address_of_user on address (user_id, created_at);
create unique index address_default on address (user_id) where is_default = 1;
