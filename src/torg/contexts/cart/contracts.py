"""What others may ask of carts: a quote to order from, and to close the cart that was ordered."""

from __future__ import annotations

import msgspec

from torg.kit.messages import Command, Query, message
from torg.kit.values import Money


class QuoteLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line at the price that holds now. `available` is False when the product was withdrawn or too little of it is in stock."""

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    category_path: tuple[str, ...]
    weight_grams: int
    available: bool


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What a cart comes to, freshly priced, promo code included."""

    cart_id: str
    lines: tuple[QuoteLine, ...]
    items_total: Money
    discount: Money
    promo_code: str = ""
    free_delivery: bool = False


@message("cart.get_quote")
class GetQuote(Query[Quote], frozen=True):
    """The user's current cart, priced anew; an empty cart has no lines."""

    user_id: str


@message("cart.redeem_promo_code")
class RedeemPromoCode(Command[None], frozen=True, kw_only=True):
    """Counts one use of the code for an order; asking again for the same order counts once.

    Raises DomainError `promo.exhausted`, `promo.expired` or `promo.not_applicable`. A use is given back when the order is rejected or
    cancelled, or was never placed."""

    code: str
    user_id: str
    order_id: str
    items_total: Money


class OrderedLine(msgspec.Struct, frozen=True):
    product_id: str
    quantity: int


@message("cart.close")
class CloseCart(Command[None], frozen=True, kw_only=True):
    """The cart became an order: the user's next cart is a new one, with whatever was added beyond the ordered lines. Harmless when repeated."""

    cart_id: str
    user_id: str
    order_id: str
    lines: tuple[OrderedLine, ...]


@message("cart.merge")
class MergeCarts(Command[None], frozen=True, kw_only=True):
    """A guest has signed in: what their cart holds joins the user's own. Harmless when repeated, or when there is no such guest cart."""

    guest_cart_id: str
    user_id: str
