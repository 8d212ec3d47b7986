-- The read model of orders; the truth is in the log.

create table orders (
    id text primary key,
    user_id text not null,
    bucket_id text not null unique,
    status text not null,
    created_at text not null,
    updated_at text not null,
    view text not null
);

create index orders_of_user on orders (user_id, created_at, id);
create index orders_by_date on orders (created_at, id);
create index orders_by_status on orders (status, updated_at);
