-- A row per parcel: one to the buyer (return_id is empty), one for each return. `refused` rows are never shown: they remember that an order is not
-- to be delivered, because no carrier goes there or because it was called off before it was booked; `note` says which. `confirmed`: it may go.

create table delivery (
    id text primary key,
    order_id text not null,
    return_id text not null default '',
    user_id text not null,
    status text not null,
    confirmed integer not null default 0,
    method text not null,
    source text not null,
    destination text not null,
    pickup_point_id text not null,
    lines text not null,
    weight_grams bigint not null,
    tracking_number text not null,
    shipment_date text not null,
    delivery_date text not null,
    note text not null default '',
    created_at text not null,
    updated_at text not null,
    unique (order_id, return_id)
);

create index delivery_of_user on delivery (user_id, created_at, id);
create index delivery_by_date on delivery (created_at, id);
create index delivery_by_status on delivery (status, created_at, id);
create index delivery_under_way on delivery (updated_at) where confirmed = 1 and status in ('scheduled', 'shipped', 'in_transit');
