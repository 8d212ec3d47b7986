-- API keys: shown once, kept as hashes, found by their prefix.

create table api_key (
    id text primary key,
    user_id text not null references users (id),
    name text not null,
    prefix text not null unique,
    hash text not null unique,
    scopes text not null,
    tier text not null,
    made_at text not null,
    ends_at text not null,
    used_at text
);

create index api_key_of_user on api_key (user_id, made_at);
