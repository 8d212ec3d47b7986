create table supplier (
    id text primary key,
    created_at text not null,
    document text not null
);

create index supplier_by_date on supplier (created_at, id);

-- `version` lets only one of two simultaneous receipts through.
create table purchase_order (
    id text primary key,
    supplier_id text not null references supplier (id),
    status text not null,
    version integer not null,
    created_at text not null,
    document text not null
);

create index purchase_order_by_date on purchase_order (created_at, id);
create index purchase_order_by_status on purchase_order (status, created_at, id);
