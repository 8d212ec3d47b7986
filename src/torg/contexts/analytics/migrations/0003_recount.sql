-- Sales counted anew, beside those that are shown; and what was counted of an order that something came back of.

create table taken_back (
    id text primary key
);

create table recount (
    id text primary key,
    at text not null
);

create table recount_journal (
    id $identity primary key,
    fact text not null
);

create table recount_sale (
    order_id text primary key,
    user_id text not null,
    day text not null,
    city text not null,
    revenue bigint not null,
    lines text not null
);

create table recount_taken_back (
    id text primary key
);

create table recount_rollup_day (
    dimension text not null,
    day text not null,
    key text not null,
    orders bigint not null,
    units bigint not null,
    revenue bigint not null,
    primary key (dimension, day, key)
);

create table recount_rollup_month (
    dimension text not null,
    month text not null,
    key text not null,
    orders bigint not null,
    units bigint not null,
    revenue bigint not null,
    primary key (dimension, month, key)
);

create table recount_buyer_month (
    user_id text not null,
    month text not null,
    orders bigint not null,
    primary key (user_id, month)
);
