"""What events make out of date of the answers that gateways keep: by the tags of the routes that are kept."""

from __future__ import annotations

from typing import Any, Final

from torg.contexts.catalog.contracts import CategoriesDefined, PriceChanged, ProductAdded, ProductChanged, ProductWithdrawn, SynonymsSet
from torg.contexts.inventory.contracts import StockChanged, StocksChanged
from torg.contexts.review.contracts import RatingChanged
from torg.kit.messages import context_of
from torg.kit.rpc.changes import Causes


def _of_product(event: Any) -> tuple[str, ...]:
    return (f"product:{event.product_id}",)


def _as_listed(event: Any) -> tuple[str, ...]:
    return f"product:{event.product_id}", "products"


def _in_all(event: Any) -> tuple[str, ...]:
    return f"product:{event.product_id}", f"picture:{event.product_id}", "products", "categories"


CAUSES: Final[Causes] = {
    ProductAdded: _in_all,
    ProductChanged: _in_all,
    ProductWithdrawn: _in_all,
    PriceChanged: _as_listed,
    CategoriesDefined: lambda _: ("categories", "catalog", "products"),
    SynonymsSet: lambda _: ("products",),
    StockChanged: _of_product,
    StocksChanged: lambda event: [f"product:{one.product_id}" for one in event.items],
    RatingChanged: _of_product,
}
SOURCES: Final = frozenset(map(context_of, CAUSES))
"""The contexts whose logs gateways follow."""
