-- Facts on their way to a column store, and what their writers agree on there; empty where SQL keeps the facts itself.

create table fact_queue (
    id text primary key,
    fact text not null,
    lines text not null
);

create table recent_behaviour (
    id text primary key,
    at text not null
);

create index recent_behaviour_at on recent_behaviour (at);

create table fact_version (
    name text primary key,
    value bigint not null
);

create view funnel_day as select day, step, count(*) as visitors from funnel_visit group by day, step;
