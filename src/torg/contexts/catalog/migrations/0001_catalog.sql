-- Products as documents, the figures that other contexts tell of them, the tree of categories, and what the search remembers.

create table product (
    id text primary key,
    document text not null,
    category text not null,
    on_sale integer not null,
    revision bigint not null
);

create index product_by_category on product (on_sale, category);
create index product_by_revision on product (revision);

create table product_figures (
    product_id text primary key,
    quantity bigint not null default 0,
    rating_hundredths integer not null default 0,
    rating_count integer not null default 0,
    revision bigint not null
);

create index product_figures_by_revision on product_figures (revision);

-- One row, locked by whoever takes the next revision: so revisions become visible in their order on every engine.
create table catalog_revision (
    id integer primary key,
    value bigint not null
);

insert into catalog_revision (id, value) values (1, 0);

create table category (
    id text primary key,
    parent text not null,
    name text not null,
    name_ru text not null,
    slug text not null,
    place integer not null
);

create table synonym_group (
    place integer primary key,
    words text not null
);

create table past_query (
    text text primary key,
    times bigint not null
);
