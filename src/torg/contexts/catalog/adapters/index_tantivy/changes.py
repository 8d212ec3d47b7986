"""Updates on their way into the index, by product id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec import UNSET
from msgspec.structs import asdict, replace

from torg.contexts.catalog.ports import ProductCard, ProductChange, ProductDocument

Update = ProductDocument | ProductChange | None
"""A whole product, new figures for it, or its removal."""

Updates = dict[str, Update]
Card = TypeVar("Card", bound=ProductCard)


def merge(updates: Updates, later: Mapping[str, Update]) -> None:
    """Adds later updates to those that wait, so that each product has one."""
    for id_, update in later.items():
        earlier = updates.get(id_)
        if not isinstance(update, ProductChange) or id_ not in updates:
            updates[id_] = update
        elif isinstance(earlier, ProductChange):
            updates[id_] = replace(earlier, **set_figures(update))
        elif earlier is not None:
            updates[id_] = changed(earlier, update)


def changed(product: Card, change: ProductChange) -> Card:
    return replace(product, **set_figures(change))


def updated(card: ProductCard, update: Update) -> ProductCard | None:
    """The card after the update; None when it is gone."""
    if isinstance(update, ProductChange):
        return changed(card, update)
    return None if update is None else ProductCard(**{name: getattr(update, name) for name in ProductCard.__struct_fields__})


def set_figures(change: ProductChange) -> dict[str, int | float | None]:
    return {name: value for name, value in asdict(change).items() if name != "id" and value is not UNSET}
