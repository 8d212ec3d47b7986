-- Read models of stock; the truth is in the log. Rows are locked in the order stock (product, warehouse), then for_sale (product).

create table warehouse (
    id text primary key,
    name text not null,
    city text not null,
    lat double precision not null,
    lon double precision not null,
    created_at text not null
);

create table stock (
    product_id text not null,
    warehouse_id text not null references warehouse (id),
    on_hand bigint not null check (on_hand >= reserved),
    reserved bigint not null default 0 check (reserved >= 0),
    primary key (product_id, warehouse_id)
);

-- Units for sale over all warehouses; the product's row is also what orders its StockChanged events.
create table for_sale (
    product_id text primary key,
    available bigint not null check (available >= 0),
    alert_below bigint not null default 0
);

create index for_sale_low on for_sale (product_id) where available < alert_below;

-- One per order that ever asked, or let go before it asked. `answer` is the first answer, given again to whoever asks again.
create table reservation (
    order_id text primary key,
    status text not null,
    hold_until text,
    answer text not null,
    updated_at text not null
);

create index reservation_held on reservation (hold_until) where hold_until is not null;
create index reservation_live on reservation (order_id) where status in ('held', 'secured');

-- Every change of what lies on the shelves: for people to look up.
create table movement (
    id $identity primary key,
    product_id text not null,
    warehouse_id text not null,
    quantity bigint not null,
    kind text not null,
    reason text not null,
    at text not null
);

create index movement_of_product on movement (product_id, id);

-- What may come twice and must count once: returns and receipts.
create table counted (
    id text primary key,
    at text not null
);
