-- Who can be reached how: a copy of what the user context tells.

create table contact (
    user_id text primary key,
    email text not null,
    full_name text not null,
    language text not null,
    roles text not null
);

-- Feeds, in the order of their ids, which grow with time. `subject` is what a notification is about, so that being told twice of one thing is impossible.

create table notification (
    user_id text not null,
    id text not null,
    kind text not null,
    subject text not null,
    order_id text not null,
    facts text not null,
    created_at text not null,
    read_at text,
    primary key (user_id, id),
    unique (subject, kind, user_id)
);

-- Payments may be heard of before the order they are for: they wait here for it.

create table early (
    order_id text not null,
    name text not null,
    data text not null,
    primary key (order_id, name, data)
);

-- Letters: each is queued in the commit of its notification, and sent outside of it.

create table mail (
    id text primary key,
    user_id text not null,
    kind text not null,
    subject text not null,
    order_id text not null,
    facts text not null,
    channel text not null,
    status text not null,
    tries integer not null,
    next_at text not null,
    recipient text not null,
    created_at text not null,
    settled_at text,
    unique (user_id, subject, kind, channel)
);

create index mail_due on mail (next_at) where status = 'queued';

create table mail_try (
    mail_id text not null,
    number integer not null,
    at text not null,
    outcome text not null,
    detail text not null,
    primary key (mail_id, number)
);

create table preference (
    user_id text not null,
    kind text not null,
    channel text not null,
    enabled integer not null,
    primary key (user_id, kind, channel)
);
