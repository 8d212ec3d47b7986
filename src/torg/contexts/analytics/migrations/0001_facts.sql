-- Sales as facts with rollups by day and by month, and what visitors did.

create table sale (
    order_id text primary key,
    user_id text not null,
    day text not null,
    city text not null,
    revenue bigint not null,
    lines text not null
);

create table rollup_day (
    dimension text not null,
    day text not null,
    key text not null,
    orders bigint not null,
    units bigint not null,
    revenue bigint not null,
    primary key (dimension, day, key)
);

create table rollup_month (
    dimension text not null,
    month text not null,
    key text not null,
    orders bigint not null,
    units bigint not null,
    revenue bigint not null,
    primary key (dimension, month, key)
);

create table bought_together (
    product_id text not null,
    other_id text not null,
    times bigint not null,
    primary key (product_id, other_id)
);

create index bought_together_best on bought_together (product_id, times);

create table buyer_month (
    user_id text not null,
    month text not null,
    orders bigint not null,
    primary key (user_id, month)
);

create table behaviour (
    id text primary key,
    at text not null,
    kind text not null,
    visitor text not null,
    product_id text not null,
    query text not null
);

create table funnel_visit (
    day text not null,
    step text not null,
    visitor text not null,
    primary key (day, step, visitor)
);
