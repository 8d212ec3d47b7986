-- One row for each cart: who has it (user/<id> or guest/<id>), and its lines as JSON. The version tells two tabs apart.

create table cart (
    owner text primary key,
    id text not null,
    lines text not null,
    promo_code text not null,
    version bigint not null,
    guest integer not null,
    updated_at text not null
);

create index cart_of_guests on cart (updated_at) where guest = 1;

create table promo_code (
    code text primary key,
    terms text not null,
    active integer not null,
    used bigint not null,
    uses_total bigint,
    uses_per_person bigint,
    created_at text not null
);

-- Uses by order: held until the order is known, placed from then on, returned when it came to nothing.
create table promo_redemption (
    order_id text not null,
    code text not null,
    user_id text not null,
    state text not null,
    at text not null,
    primary key (order_id, code)
);

create index promo_redemption_of_user on promo_redemption (code, user_id);
create index promo_redemption_held on promo_redemption (at) where state = 'held';
