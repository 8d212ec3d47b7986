-- When and how somebody has shown who they are, in this session (empty: as it was opened, by a password); who is asked for a passkey after the password;
-- and what people have signed in with before, as hashes.

alter table session add column proven_at text not null default '';
alter table session add column amr text not null default '';
alter table oauth_code add column amr text not null default '';
alter table oauth_grant add column amr text not null default '';

create table passkey_step (
    user_id text primary key references users (id),
    since text not null
);

create table familiar (
    user_id text not null references users (id),
    hash text not null,
    seen_at text not null,
    primary key (user_id, hash)
);

create index familiar_by_date on familiar (seen_at);
