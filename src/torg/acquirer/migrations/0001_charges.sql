-- The acquirer's books, and what it has to tell the merchant.

create table charge (
    id text primary key,
    reference text not null unique,
    currency text not null,
    amount bigint not null,
    status text not null,
    captured bigint not null,
    refunded bigint not null,
    reason text not null,
    card text not null,
    muted integer not null,
    settle_at text,
    return_url text not null,
    created_at text not null,
    updated_at text not null,
    check (0 <= refunded and refunded <= captured and captured <= amount)
);

create index charge_by_date on charge (created_at, id);
create index charge_to_settle on charge (settle_at) where settle_at is not null;

create table charge_refund (
    charge_id text not null,
    id text not null,
    amount bigint not null,
    at text not null,
    primary key (charge_id, id)
);

create table notice (
    id text primary key,
    charge_id text not null,
    body text not null,
    attempts integer not null,
    next_at text,
    error text not null,
    at text not null
);

create index notice_due on notice (next_at) where next_at is not null;
