-- What is bought together, counted anew beside what is shown.
create table recount_bought_together (
    product_id text not null,
    other_id text not null,
    times bigint not null,
    primary key (product_id, other_id)
);
