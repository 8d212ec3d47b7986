"""The rules of carts: what may be in one, what it comes to, and how two become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from torg.contexts.cart.contracts import CartItem, CreatePromoCode, OrderedLine, PromoCode, PromoCodeGivenBack, PromoCodeRedeemed, QuoteLine
from torg.contexts.catalog.contracts import Offer
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound
from torg.kit.messages import Message
from torg.kit.values import Language, Money, in_language

MOST_LINES = 100
MOST_UNITS = 99  # of one product
Use = tuple[str, str]
"""Whose a promo code's use is, and its state: held, placed or returned."""


class Line(msgspec.Struct, frozen=True):
    """So many of a product, with its names and price when it was put in: what the cart shows while the catalogue is away."""

    product_id: str
    quantity: int
    name: str
    name_ru: str
    price: Money


@dataclass(frozen=True)
class Cart:
    """What somebody means to buy, in the order in which it was put in."""

    id: str
    lines: tuple[Line, ...] = ()
    promo_code: str = ""

    @property
    def product_ids(self) -> tuple[str, ...]:
        return tuple(line.product_id for line in self.lines)


@dataclass(frozen=True)
class Market:
    """What the catalogue and the stock say of some products; None while one of them cannot be asked."""

    offers: Mapping[str, Offer] | None
    stock: Mapping[str, int] | None

    @property
    def complete(self) -> bool:
        return self.offers is not None and self.stock is not None

    def has(self, line: Line) -> bool:
        """Whether that many can be bought now; what cannot be asked is taken for granted."""
        on_sale = self.offers is None or (line.product_id in self.offers and self.offers[line.product_id].on_sale)
        return on_sale and (self.stock is None or self.stock.get(line.product_id, 0) >= line.quantity)


# ---------------------------------------------------------------- changes


def offered(product_id: str, market: Market) -> Offer:
    """The product's offer. Raises NotFound `product.not_found`, DomainError `product.not_on_sale`."""
    offer = (market.offers or {}).get(product_id)
    if offer is None:
        raise NotFound("product.not_found", f"there is no product {product_id}")
    if not offer.on_sale:
        raise DomainError("product.not_on_sale", f"{offer.name} is not on sale any more")
    return offer


def put(cart: Cart, line: Line) -> Cart:
    """The cart with that line in place of the product's former one, else at the end. Raises DomainError `cart.full`."""
    if line.product_id in cart.product_ids:
        lines = tuple(line if line.product_id == old.product_id else old for old in cart.lines)
    elif len(cart.lines) >= MOST_LINES:
        raise DomainError("cart.full", f"a cart holds {MOST_LINES} different products at most: order these first, or take something out")
    else:
        lines = (*cart.lines, line)
    return Cart(cart.id, lines, cart.promo_code)


def removed(cart: Cart, product_id: str) -> Cart:
    """The cart without the product; the very same one where it is not in."""
    if product_id not in cart.product_ids:
        return cart
    return Cart(cart.id, tuple(line for line in cart.lines if line.product_id != product_id), cart.promo_code)


def cleared(cart: Cart) -> Cart:
    return Cart(cart.id) if cart.lines or cart.promo_code else cart


def merged(member: Cart, guest: Cart) -> Cart:
    """The member's cart with the guest's lines: quantities add up as far as a line may go, the member's own promo code goes first."""
    more = {line.product_id: line.quantity for line in guest.lines}
    lines = [_with(line, min(line.quantity + more.pop(line.product_id, 0), MOST_UNITS)) for line in member.lines]
    lines += [line for line in guest.lines if line.product_id in more]
    return Cart(member.id, tuple(lines[:MOST_LINES]), member.promo_code or guest.promo_code)


def closed(cart: Cart, cart_id: str, ordered: tuple[OrderedLine, ...], next_id: str) -> Cart:
    """The next cart once `cart_id` was ordered: whatever is in beyond the ordered lines. Another cart than that stays as it is."""
    if cart.id != cart_id:
        return cart
    less = {line.product_id: line.quantity for line in ordered}
    rest = (_with(line, line.quantity - less.get(line.product_id, 0)) for line in cart.lines)
    return Cart(next_id, tuple(line for line in rest if line.quantity > 0))


def _with(line: Line, quantity: int) -> Line:
    return line if line.quantity == quantity else msgspec.structs.replace(line, quantity=quantity)


# ---------------------------------------------------------------- prices


def priced(cart: Cart, market: Market, language: Language) -> tuple[CartItem, ...]:
    """The lines as their owner sees them, at today's prices where these are known."""
    return tuple(_item(line, market, language) for line in cart.lines)


def _item(line: Line, market: Market, language: Language) -> CartItem:
    offer = (market.offers or {}).get(line.product_id)
    price, known = (offer.price, offer) if offer else (line.price, line)
    return CartItem(
        product_id=line.product_id,
        name=in_language(known.name, known.name_ru, language),
        quantity=line.quantity,
        unit_price=price,
        line_total=price * line.quantity,
        available=market.has(line),
        price_changed_from=line.price if line.price != price else None,
    )


def quoted(cart: Cart, market: Market) -> tuple[QuoteLine, ...]:
    """The lines to order from; a product that the catalogue no longer knows keeps what it was, and is not available."""
    offers = market.offers or {}
    return tuple(_quote_line(line, offers.get(line.product_id), market.has(line)) for line in cart.lines)


def _quote_line(line: Line, offer: Offer | None, available: bool) -> QuoteLine:
    price = offer.price if offer else line.price
    return QuoteLine(
        product_id=line.product_id, name=offer.name if offer else line.name, quantity=line.quantity, available=available,
        unit_price=price, line_total=price * line.quantity,
        category_path=offer.category_path if offer else (), weight_grams=offer.weight_grams if offer else 0,
    )  # fmt: skip


def total_of(lines: tuple[CartItem, ...] | tuple[QuoteLine, ...], currency: str) -> Money:
    return Money(sum(line.line_total.amount for line in lines), currency)


# ---------------------------------------------------------------- promo codes


def promo_code(cmd: CreatePromoCode, currency: str, now: datetime) -> PromoCode:
    """The code that staff describe. Raises Invalid that names every field that does not fit."""
    faults = [FieldError(field, "invalid", sentence) for field, wrong, sentence in _faults(cmd, currency) if wrong]
    if faults:
        raise Invalid.fields(*faults)
    given = {field: getattr(cmd, field) for field in cmd.__struct_fields__}
    return PromoCode(**{**given, "code": cmd.code.upper()}, created_at=now)


def _faults(cmd: CreatePromoCode, currency: str) -> list[tuple[str, bool, str]]:
    money = f"a positive amount in {currency}"
    return [
        ("percent", (cmd.percent is not None) != (cmd.kind == "percent"), "is needed for a code of kind percent, and only there"),
        ("amount", (cmd.amount is not None) != (cmd.kind == "amount"), "is needed for a code of kind amount, and only there"),
        ("amount", cmd.amount is not None and not _is_positive(cmd.amount, currency), f"must be {money}"),
        ("minimum_total", cmd.minimum_total is not None and not _is_positive(cmd.minimum_total, currency), f"must be {money}"),
        ("valid_from", _without_zone(cmd.valid_from), "must say its time zone (2026-11-21T09:30:00Z)"),
        ("valid_until", _without_zone(cmd.valid_until), "must say its time zone (2026-11-21T09:30:00Z)"),
        ("valid_until", _reversed(cmd), "must be after valid_from"),
    ]


def _is_positive(money: Money, currency: str) -> bool:
    return money.amount > 0 and money.currency == currency


def _without_zone(moment: datetime | None) -> bool:
    return moment is not None and moment.tzinfo is None


def _reversed(cmd: CreatePromoCode) -> bool:
    start, end = cmd.valid_from, cmd.valid_until
    return start is not None and end is not None and not (_without_zone(start) or _without_zone(end)) and start >= end


def refusal(promo: PromoCode, items_total: Money, now: datetime) -> DomainError | None:
    """What speaks against the code for such a cart, apart from how often it was used."""
    if not promo.active or (promo.valid_until is not None and now >= promo.valid_until):
        return ended(promo.code)
    if promo.valid_from is not None and now < promo.valid_from:
        return DomainError("promo.not_applicable", f"the promo code {promo.code} counts from {promo.valid_from:%Y-%m-%d %H:%M} UTC")
    if promo.minimum_total is not None and items_total < promo.minimum_total:
        least = promo.minimum_total
        return DomainError("promo.not_applicable", f"the promo code {promo.code} needs items worth {_shown(least)} or more in the cart")
    return None


def use_refusal(promo: PromoCode, used_by_person: int) -> DomainError | None:
    """Whether it has been used as often as it may be: by all, or by this person."""
    if promo.uses_total is not None and promo.used >= promo.uses_total:
        return used_up(promo.code)
    if promo.uses_per_person is not None and used_by_person >= promo.uses_per_person:
        return used_up_by_person(promo.code)
    return None


def discount(promo: PromoCode, items_total: Money) -> Money:
    """What comes off the items: a share rounded down to a minor unit, or an amount, never more than they cost."""
    if promo.percent is not None:
        return items_total.percent(promo.percent)
    return min(promo.amount, items_total) if promo.amount is not None else Money(0, items_total.currency)


def ended(code: str) -> DomainError:
    return DomainError("promo.expired", f"the promo code {code} has ended")


def used_up(code: str) -> DomainError:
    return DomainError("promo.exhausted", f"the promo code {code} has been used as often as it may be")


def used_up_by_person(code: str) -> DomainError:
    return DomainError("promo.exhausted", f"you have used the promo code {code} as often as one person may")


def _shown(money: Money) -> str:
    return f"{money.amount // 100}.{money.amount % 100:02d} {money.currency}"


def uses(history: Iterable[Message]) -> dict[str, Use]:
    """A code's uses by order, as its log has them. Whether an order was placed the log of codes does not say: it is taken to have been."""
    found: dict[str, Use] = {}
    for event in history:
        match event:
            case PromoCodeRedeemed():
                found[event.order_id] = (event.user_id, "placed")
            case PromoCodeGivenBack() if event.order_id in found:
                found[event.order_id] = (found[event.order_id][0], "returned")
    return found


def miskept(kept: Mapping[str, Use], said: Mapping[str, Use]) -> dict[str, Use]:
    """What should be kept of the uses that are kept other than the log says; what the log has never heard of counts no more."""
    wrong = {order_id: (user_id, "returned") for order_id, (user_id, state) in kept.items() if order_id not in said and state != "returned"}
    for order_id, use in said.items():
        if order_id not in kept or (kept[order_id][1] == "returned") != (use[1] == "returned"):
            wrong[order_id] = use
    return wrong
