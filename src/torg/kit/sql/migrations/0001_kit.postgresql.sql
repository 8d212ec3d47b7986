-- As 0001_kit.sql, for many writers: a row's position comes from its transaction (torg.kit.sql.dialect), so that readers can tell what is settled.
-- The log is parted by stream: streams named by a UUIDv7 begin with the time they were made, so each month's streams lie together, whole.

create table log (
    position bigint not null,
    stream text not null,
    version integer not null,
    name text not null,
    schema_version integer not null,
    data text not null,
    meta text not null,
    at text not null,
    primary key (stream, version)
) partition by range (stream);

create table log_rest partition of log default;
create index log_position on log (position);

create table log_origin (value bigint not null);
insert into log_origin (value) values (0);

-- What transactions write that must not commit beside one another, although they change nothing in common.
create table claim (
    name text primary key,
    times bigint not null
);

create table lease (
    name text primary key,
    holder text not null,
    until timestamptz not null
);
create table consumer_position (
    consumer text not null,
    source text not null,
    position bigint not null,
    primary key (consumer, source)
);

create table consumed (
    consumer text not null,
    id text not null,
    at text not null,
    primary key (consumer, id)
);

create table failed_message (
    consumer text not null,
    id text not null,
    source text not null,
    position bigint not null,
    stream text not null,
    envelope text not null,
    name text not null,
    attempts integer not null,
    error text not null,
    next_at text not null,
    dead integer not null,
    primary key (consumer, id)
);

create table saga (
    id text primary key,
    type text not null,
    subject text not null,
    status text not null,
    instance text not null,
    deadline text,
    created_at text not null,
    updated_at text not null
);

-- One saga at a time works on a subject; the others wait for its end.
create unique index saga_active on saga (subject) where status in ('running', 'compensating', 'stuck');
create index saga_deadline on saga (deadline) where deadline is not null;
create index saga_created on saga (created_at);

create table answer (
    caller text not null,
    key text not null,
    fingerprint text not null,
    status integer not null,
    headers text not null,
    body text not null,
    at text not null,
    primary key (caller, key)
);

create index answer_at on answer (at);
create index consumed_at on consumed (at);
