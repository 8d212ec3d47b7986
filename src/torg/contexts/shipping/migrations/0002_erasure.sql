-- People who were erased: where their parcels went is forgotten when these have ended. `at`: when that was last done, or first asked for.
create table erasure (
    user_id text primary key,
    at text not null
);

alter table delivery add column erased integer not null default 0;
