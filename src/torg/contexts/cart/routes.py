"""Carts and promo codes over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.cart import contracts as c
from torg.kit.http import Request, Response, Route, Urgency, delete, get, post, put
from torg.kit.values import is_id

COOKIE, HEADER = "cart", "X-Cart-Id"
KEPT = 30 * 24 * 3600  # seconds a browser keeps a guest's cookie: as long as the shop keeps the cart


def routes(secure: bool) -> Sequence[Route]:
    """`secure`: browsers are to send the cookie over HTTPS alone."""

    def named(cart: c.CartView) -> list[tuple[str, str]]:
        """Tells the cart's id; a guest's browser keeps it as a cookie."""
        headers = [(HEADER, cart.id)]
        if cart.guest:
            headers += [(name.decode(), value.decode()) for name, value in Response().with_cookie(COOKIE, cart.id, KEPT, secure).headers]
        return headers

    on_cart = {"fill": {"guest_cart_id": guest_cart_id}, "reply_headers": named, "status": 200, "urgency": Urgency.CART}
    return (
        get("/cart", c.GetCart, right="cart:read", summary="The cart, at today's prices", **on_cart),
        delete("/cart", c.ClearCart, right="cart:write", summary="Empty the cart", **on_cart),
        put("/cart/items/{product_id}", c.PutItem, right="cart:write", summary="Put so many of a product into the cart", **on_cart),
        delete("/cart/items/{product_id}", c.RemoveItem, right="cart:write", summary="Take a product out of the cart", **on_cart),
        post("/cart/promo-code", c.ApplyPromoCode, right="cart:write", summary="Use a promo code", **on_cart),
        delete("/cart/promo-code", c.DropPromoCode, right="cart:write", summary="Take the promo code out of the cart", **on_cart),
        get("/promo-codes", c.ListPromoCodes, right="promo-codes:read", summary="All promo codes"),
        post("/promo-codes", c.CreatePromoCode, right="promo-codes:write", status=201, idempotency="accepted", summary="Create a promo code"),
        post("/promo-codes/rebuild", c.RebuildPromoCodes, right="tables:write", summary="Make the uses of promo codes what the log says, while people order"),
        post(
            "/promo-codes/{code}/disable",
            c.DisablePromoCode,
            about=c.GetPromoCode,
            right="promo-codes:write",
            idempotency="accepted",
            summary="End a promo code",
        ),
    )


def guest_cart_id(request: Request) -> str:
    """The guest's cart that a request names, by header or cookie; empty for none, or for what cannot be an id."""
    named = request.header(HEADER.lower()) or request.cookie(COOKIE)
    return named if is_id(named) else ""
