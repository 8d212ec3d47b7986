-- Keys that people's own devices hold, by their public parts; and challenges that were answered, so that none is twice.

create table passkey (
    id text primary key,
    user_id text not null references users (id),
    name text not null,
    public_key text not null,
    sign_count integer not null,
    made_at text not null,
    used_at text
);

create index passkey_of_user on passkey (user_id, made_at);

create table spent_challenge (
    hash text primary key,
    until text not null
);
