-- Programs of others that people let in (OAuth 2.1, OpenID Connect).

create table oauth_client (
    id text primary key,
    name text not null,
    secret_hash text not null,
    redirect_uris text not null,
    logout_uris text not null,
    backchannel_uri text not null,
    scopes text not null,
    grants text not null,
    tier text not null,
    acts_for text references users (id),
    made_at text not null,
    disabled_at text
);

-- A code is good once; what it was exchanged for ends when it comes again.
create table oauth_code (
    hash text primary key,
    client_id text not null,
    user_id text not null,
    redirect_uri text not null,
    scope text not null,
    challenge text not null,
    nonce text not null,
    authenticated_at text not null,
    parent_id text not null,
    ends_at text not null,
    spent_by text
);

create index oauth_code_until on oauth_code (ends_at);

-- A session that belongs to a client. It ends with the session in which it was granted, unless it is offline.
create table oauth_grant (
    session_id text primary key references session (id) on delete cascade,
    client_id text not null references oauth_client (id),
    scope text not null,
    nonce text not null,
    authenticated_at text not null,
    parent_id text not null,
    offline integer not null
);

create index oauth_grant_of_parent on oauth_grant (parent_id);
create index oauth_grant_of_client on oauth_grant (client_id);

create table oauth_consent (
    user_id text not null references users (id),
    client_id text not null references oauth_client (id),
    scope text not null,
    granted_at text not null,
    primary key (user_id, client_id)
);

-- Whom to tell that somebody has signed out (OpenID Connect Back-Channel Logout).
create table logout_notice (
    id text primary key,
    client_id text not null,
    user_id text not null,
    sid text not null,
    attempts integer not null,
    next_at text not null,
    made_at text not null
);

create index logout_notice_due on logout_notice (next_at);
