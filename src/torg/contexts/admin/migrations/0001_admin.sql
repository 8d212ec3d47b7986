-- The audit trail; what the auditor has gathered from the contexts' logs, and how far it has read in each.

create table audit (
    id $identity primary key,
    at text not null,
    actor text not null,
    roles text not null,
    method text not null,
    route text not null,
    path text not null,
    object text not null,
    status integer not null,
    request_id text not null
);

create index audit_of_actor on audit (actor, id);
create index audit_of_object on audit (object, id);

-- An order as all logs together tell it. `unproven`: something was said about it since it last fitted together.
create table account (
    order_id text primary key,
    bucket_id text not null,
    unproven integer not null,
    facts text not null
);

create index account_of_bucket on account (bucket_id) where bucket_id <> '';
create index account_unproven on account (order_id) where unproven = 1;

create table sales_day (
    day text primary key,
    orders bigint not null,
    revenue bigint not null,
    unproven integer not null
);

create table read_until (
    what text not null,
    source text not null,
    position bigint not null,
    primary key (what, source)
);

create table torn_stream (
    source text not null,
    stream text not null,
    primary key (source, stream)
);
