"""Carts and promo codes. Others may ask for a quote to order from, to close the cart that was ordered, and to merge a guest's cart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.contexts.catalog.contracts import Offer
from torg.contexts.inventory.contracts import Units
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Language, Limit, Money, ProductId, Quantity


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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the catalogue and the stock have just said of these products."""

    product_ids: tuple[str, ...]
    offers: tuple[Offer, ...]
    stock: tuple[Units, ...]


@message("cart.get_quote")
class GetQuote(Query[Quote], frozen=True):
    """The user's current cart, priced anew; an empty cart has no lines. Who was asked by somebody else passes on what they have `asked` about the
    cart's products (GetKeptCart names them). Raises ConcurrentChange when it holds another one by now."""

    user_id: str
    asked: Asked | None = None


@message("cart.redeem_promo_code")
class RedeemPromoCode(Command[None], frozen=True, kw_only=True):
    """Counts one use of the code for an order; asking again for the same order counts once.

    Raises DomainError `promo.exhausted`, `promo.expired` or `promo.not_applicable`. A use is given back when the order is rejected or
    cancelled, or was never placed."""

    IDEMPOTENT = True

    code: str
    user_id: str
    order_id: str
    items_total: Money


@message("cart.give_back_promo_code")
class GiveBackPromoCode(Command[None], frozen=True):
    """Nothing came of an order that a code was counted for: it can be used anew. Only for one that will never be placed; harmless when repeated."""

    IDEMPOTENT = True

    order_id: str


class OrderedLine(msgspec.Struct, frozen=True):
    product_id: str
    quantity: int


@message("cart.close")
class CloseCart(Command[None], frozen=True, kw_only=True):
    """The cart became an order: the user's next cart is a new one, with what was added beyond the ordered lines. Harmless when repeated."""

    IDEMPOTENT = True

    cart_id: str
    user_id: str
    order_id: str
    lines: tuple[OrderedLine, ...]


@message("cart.merge")
class MergeCarts(Command[None], frozen=True, kw_only=True):
    """A guest has signed in: what their cart holds joins the user's own. Harmless when repeated, or when there is no such guest cart."""

    IDEMPOTENT = True

    guest_cart_id: str
    user_id: str


# ---------------------------------------------------------------- asked by buyers and guests


class CartItem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line at the price that holds now. `available`: on sale, and enough of it in stock. `price_changed_from` is what it cost when it was
    put in, where that was something else."""

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    available: bool
    price_changed_from: Money | None = None


class PromoState(msgspec.Struct, frozen=True, kw_only=True):
    """The cart's promo code; where it does not apply, `reason` says what would be needed."""

    code: str
    applied: bool
    free_delivery: bool = False
    reason: str = ""


class CartView(msgspec.Struct, frozen=True, kw_only=True):
    """A cart as its owner sees it. `total = subtotal - discount`. `stale`: prices or stock could not be asked now and are as last known."""

    id: str
    items: tuple[CartItem, ...]
    subtotal: Money
    discount: Money
    total: Money
    promo: PromoState | None = None
    guest: bool = False
    stale: bool = False


@message("cart.get_kept")
class GetKeptCart(Query[CartView], frozen=True, kw_only=True):
    """The user's cart as it was last known (`stale`): nobody else is asked for prices and stock."""

    user_id: str
    language: Language = Language.EN


@message("cart.get")
class GetCart(Query[CartView], frozen=True, kw_only=True):
    """The visitor's cart: the user's own when signed in, else the one that `guest_cart_id` names; an empty id gets a new one."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language


@message("cart.put_item")
class PutItem(Command[CartView], frozen=True, kw_only=True):
    """Has the cart hold so many of a product. Raises NotFound `product.not_found`, DomainError `product.not_on_sale`, `cart.full`."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language
    product_id: ProductId
    quantity: Quantity


@message("cart.remove_item")
class RemoveItem(Command[CartView], frozen=True, kw_only=True):
    """Takes a product out; harmless when it is not in."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language
    product_id: ProductId


@message("cart.clear")
class ClearCart(Command[CartView], frozen=True, kw_only=True):
    """Takes everything out, the promo code too."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language


Code = Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{3,32}$")]
"""A promo code: 3 to 32 letters, digits, - and _; capitals make no difference."""


@message("cart.apply_promo_code")
class ApplyPromoCode(Command[CartView], frozen=True, kw_only=True):
    """Puts a code into the cart, in place of the one before. Raises NotFound `promo.not_found`, DomainError `promo.exhausted`,
    `promo.expired` or `promo.not_applicable`."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language
    code: Code


@message("cart.drop_promo_code")
class DropPromoCode(Command[CartView], frozen=True, kw_only=True):
    """Takes the promo code out; harmless when there is none."""

    visitor: Identity | None
    guest_cart_id: str
    language: Language


# ---------------------------------------------------------------- promo codes


PromoKind = Literal["percent", "amount", "free_delivery"]
Uses = Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class PromoCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code as staff see it. It counts from `valid_from` until just before `valid_until`, null being no bound; `used` are the uses that
    were not given back."""

    code: str
    kind: PromoKind
    percent: int | None = None
    amount: Money | None = None
    minimum_total: Money | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_total: int | None = None
    uses_per_person: int | None = None
    active: bool = True
    used: int = 0
    created_at: datetime


@message("cart.create_promo_code")
class CreatePromoCode(Command[PromoCode], frozen=True, kw_only=True):
    """`percent` (1 to 100, of the items) goes with that kind, `amount` (taken off the items, as far as they go) with its own. Raises
    DomainError `promo.code_taken`, Invalid for terms that do not go together."""

    code: Code
    kind: PromoKind
    percent: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    amount: Money | None = None
    minimum_total: Money | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_total: Uses | None = None
    uses_per_person: Uses | None = None


@message("cart.disable_promo_code")
class DisablePromoCode(Command[PromoCode], frozen=True):
    """Nobody can use it from now on; what was used stays used. Raises NotFound `promo.not_found`."""

    code: str


class PromoCodePage(msgspec.Struct, frozen=True):
    items: tuple[PromoCode, ...]
    next_cursor: str | None


@message("cart.list_promo_codes")
class ListPromoCodes(Query[PromoCodePage], frozen=True, kw_only=True):
    """All codes, by their letters."""

    cursor: str = ""
    limit: Limit = 24


@message("cart.get_promo_code")
class GetPromoCode(Query[PromoCode], frozen=True):
    """Raises NotFound `promo.not_found`."""

    code: Code


@message("promo.created")
class PromoCodeCreated(Event, frozen=True):
    """There is a new code."""

    promo: PromoCode


@message("promo.disabled")
class PromoCodeDisabled(Event, frozen=True):
    """Nobody can use the code from now on."""

    code: str


@message("promo.redeemed")
class PromoCodeRedeemed(Event, frozen=True, kw_only=True):
    """One use of the code is counted for the order."""

    code: str
    order_id: str
    user_id: str


@message("promo.given_back")
class PromoCodeGivenBack(Event, frozen=True, kw_only=True):
    """The order came to nothing: the code can be used once more."""

    code: str
    order_id: str


# ---------------------------------------------------------------- asked by operators


@message("cart.rebuild_promo_codes")
class RebuildPromoCodes(Rebuild, frozen=True, kw_only=True):
    """Makes the uses of promo codes, and their counts, what the log says, while people order."""


@message("promo.mended")
class PromoCodeMended(Mended, frozen=True, kw_only=True):
    """What was kept of a code's uses was not what the log said, and is now."""
