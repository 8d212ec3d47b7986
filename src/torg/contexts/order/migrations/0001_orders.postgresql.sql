-- As 0001_orders.sql, parted by month: an order's id begins with the time it was made. That a cart is ordered once is what order_of_cart is for.

create table orders (
    id text not null,
    user_id text not null,
    bucket_id text not null,
    status text not null,
    created_at text not null,
    updated_at text not null,
    view text not null,
    primary key (id)
) partition by range (id);

create table orders_rest partition of orders default;
create index orders_of_user on orders (user_id, created_at, id);
create index orders_by_date on orders (created_at, id);
create index orders_by_status on orders (status, updated_at);
