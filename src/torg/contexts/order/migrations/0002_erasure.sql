-- People who were erased: what is personal in their orders goes when the orders have ended. `at`: when that was last done, or first asked for.
create table erasure (
    user_id text primary key,
    at text not null
);

alter table orders add column erased integer not null default 0;
