-- Reviews, with the counts of their votes; `score` is what sorts them by helpfulness.

create table review (
    id text primary key,
    product_id text not null,
    user_id text not null,
    rating integer not null,
    title text not null,
    text text not null,
    status text not null,
    reason text not null,
    helpful integer not null,
    unhelpful integer not null,
    score integer not null,
    reply text,
    created_at text not null,
    unique (product_id, user_id)
);

create index review_newest on review (product_id, created_at, id) where status = 'published';
create index review_helpful on review (product_id, score, id) where status = 'published';
create index review_status on review (status, created_at, id);
create index review_of_user on review (user_id, created_at, id);

create table vote (
    review_id text not null,
    user_id text not null,
    helpful integer not null,
    primary key (review_id, user_id)
);

-- What was delivered to whom: who received it may review it.
create table delivered (
    user_id text not null,
    product_id text not null,
    at text not null,
    primary key (user_id, product_id)
);

-- What is shown of a person's name; empty once they were erased.
create table author (
    user_id text primary key,
    shown text not null
);

-- Published reviews of a product by their stars: the read model behind lists and ratings.
create table rating (
    product_id text primary key,
    one bigint not null,
    two bigint not null,
    three bigint not null,
    four bigint not null,
    five bigint not null
);
