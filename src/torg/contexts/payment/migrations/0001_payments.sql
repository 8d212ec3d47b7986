-- Payments, and the read models of the ledger; the ledger's truth is in the log (payment.ledger_posted).

create table payment (
    id text primary key,
    order_id text not null unique,
    user_id text not null,
    method text not null,
    currency text not null,
    amount bigint not null,
    captured bigint not null,
    refunding bigint not null,
    refunded bigint not null,
    status text not null,
    closed integer not null,
    reason text not null,
    acquirer_id text not null,
    redirect_url text not null,
    check_at text,
    version integer not null,
    created_at text not null,
    updated_at text not null,
    check (0 <= captured and captured <= amount),
    check (0 <= refunding and 0 <= refunded and refunding + refunded <= captured)
);

create index payment_of_user on payment (user_id, created_at, id);
create index payment_by_date on payment (created_at, id);
create index payment_to_check on payment (check_at) where check_at is not null;

create table refund (
    payment_id text not null,
    id text not null,
    amount bigint not null,
    done integer not null,
    at text not null,
    primary key (payment_id, id)
);

-- What is to be done at the acquirer, outside transactions; a row goes when its outcome is filed.
create table errand (
    id text primary key,
    payment_id text not null,
    action text not null,
    refund_id text not null,
    amount bigint not null,
    attempts integer not null,
    next_at text not null,
    error text not null
);

create index errand_due on errand (next_at);

create table webhook (
    acquirer text not null,
    id text not null,
    at text not null,
    primary key (acquirer, id)
);

create index webhook_at on webhook (at);

-- Wallets alone have a row here: they alone may not fall below zero, and a row that every payment changes would make all of them wait for one another.
create table balance (
    account text not null,
    currency text not null,
    amount bigint not null check (amount >= 0),
    primary key (account, currency)
);

create table entry (
    id $identity primary key,
    account text not null,
    amount bigint not null,
    currency text not null,
    kind text not null,
    reference text not null,
    order_id text not null,
    at text not null,
    unique (account, kind, reference)
);

create index entry_of_account on entry (account, id);
