-- What must outlive a store of carts that may lose some: which cart is a member's current one, and what was ordered of the one before.

create table member_cart (
    user_id text primary key,
    cart_id text not null,
    before text not null,
    ordered text not null
);
