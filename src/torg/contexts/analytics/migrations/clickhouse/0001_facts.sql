-- Facts in a column store. Each statement can be run twice: two instances may start at once, and one may end half-way.
--
-- Facts may arrive more than once, at any time and in other batches: every table's sorting key is the fact's own identity, so that copies are equal and
-- collapse, at once for whoever reads with FINAL and for good when parts merge. Copies of a fact have the same day, so they meet in one partition.
-- An insert is on disk before it is acknowledged: the queue forgets it then.

-- A row for what an order's event changed as a whole (n = 0) and one for each of its lines. id: the order's for kind sold and undone, the return's for returned.
create table if not exists sale_line (
    kind LowCardinality(String),
    id String,
    n UInt16,
    day Date,
    order_id String,
    user_id String,
    city LowCardinality(String),
    product_id String,
    categories Array(LowCardinality(String)),
    orders Int8,
    units Int32,
    revenue Int64
) engine = ReplacingMergeTree partition by toYYYYMM(day) order by (day, order_id, kind, id, n)
settings fsync_after_insert = 1, fsync_part_directory = 1;

create table if not exists basket (order_id String, products Array(LowCardinality(String)))
engine = ReplacingMergeTree order by order_id
settings fsync_after_insert = 1, fsync_part_directory = 1;

create table if not exists funnel_visit (day Date, step LowCardinality(String), visitor String)
engine = ReplacingMergeTree partition by toYYYYMM(day) order by (day, step, visitor)
settings fsync_after_insert = 1, fsync_part_directory = 1;

-- A visitor's own: erased = 1 wins over every copy of what it was before. Found by id, so the index is a dense one.
create table if not exists behaviour (
    id String,
    at DateTime64(6, 'UTC'),
    kind LowCardinality(String),
    visitor String,
    product_id String,
    query String,
    erased UInt8 default 0
) engine = ReplacingMergeTree(erased) order by id
settings index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1;

-- The rollups are computed from the facts as they are, never added to: of a key's rows the one of the highest version holds. A dimension with few keys
-- has few rows, so the index is dense enough not to read its neighbours.
create table if not exists rollup_day_version (
    dimension LowCardinality(String),
    day Date,
    key String,
    orders Int64,
    units Int64,
    revenue Int64,
    version UInt64
) engine = ReplacingMergeTree(version) partition by toYYYYMM(day) order by (dimension, day, key)
settings index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

create table if not exists rollup_month_version (
    dimension LowCardinality(String),
    month String,
    key String,
    orders Int64,
    units Int64,
    revenue Int64,
    version UInt64
) engine = ReplacingMergeTree(version) partition by month order by (dimension, month, key)
settings index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

-- Each product's baskets, kept by the engine itself as baskets arrive: a copy of a basket makes copies of these rows, which collapse like all others.
create table if not exists product_basket (product_id String, order_id String, products Array(LowCardinality(String)))
engine = ReplacingMergeTree order by (product_id, order_id)
settings index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1;

create materialized view if not exists product_basket_of_basket to product_basket as
select arrayJoin(products) as product_id, order_id, products from basket;

-- What the reports read: the same names and columns as the SQL store's tables.
create view if not exists rollup_day as
select dimension, day, key, orders, units, revenue from rollup_day_version final;

create view if not exists rollup_month as
select dimension, month, key, orders, units, revenue from rollup_month_version final;

create view if not exists buyer_month as
select key as user_id, month, orders from rollup_month where dimension = 'buyer';

create view if not exists funnel_day as
select day, key as step, orders as visitors from rollup_day where dimension = 'funnel';

create view if not exists bought_together as
select product_id, other_id, count() as times
from (select product_id, arrayJoin(products) as other_id from product_basket final) as pairs
where other_id <> product_id group by product_id, other_id;
