"""What is offered at which price, and what is told when that changes."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Event, Query, message
from torg.kit.values import Money

DEAREST = 10**12


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it is sold right now. `category_path` goes from department to type, as ids; `on_sale` is False once it is withdrawn."""

    product_id: str
    name: str
    name_ru: str
    price: Money
    category_path: tuple[str, ...]
    brand: str
    weight_grams: int
    on_sale: bool


@message("catalog.get_offers")
class GetOffers(Query[tuple[Offer, ...]], frozen=True):
    """The offers of these products, in this order; products that do not exist are left out."""

    product_ids: tuple[str, ...]


@message("product.added")
class ProductAdded(Event, frozen=True, kw_only=True):
    """A product is on sale for the first time. `category_path` goes from department to type."""

    product_id: str
    name: str
    price: Money
    category_path: tuple[str, ...]
    at: datetime


@message("product.price_changed")
class PriceChanged(Event, frozen=True, kw_only=True):
    """A product costs something else from now on."""

    product_id: str
    price: Money
    old_price: Money


@message("product.changed")
class ProductChanged(Event, frozen=True, kw_only=True):
    """Something else than the price changed: read it again."""

    product_id: str


@message("product.withdrawn")
class ProductWithdrawn(Event, frozen=True):
    """A product is no longer sold."""

    product_id: str
