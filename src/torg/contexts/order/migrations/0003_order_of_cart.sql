-- A cart is ordered once, wherever its order lies: a table that is parted by month can't say so itself.

create table order_of_cart (
    bucket_id text primary key,
    order_id text not null
);

insert into order_of_cart (bucket_id, order_id) select bucket_id, id from orders;
