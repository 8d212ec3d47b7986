"""What other contexts tell of products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torg.contexts.catalog.ports import CatalogDeps
from torg.contexts.inventory.contracts import StockChanged, StocksChanged
from torg.contexts.review.contracts import RatingChanged
from torg.kit.store import Transaction


async def on_stock_changed(event: StockChanged, deps: CatalogDeps) -> None:
    async with deps.transaction() as tx:
        await deps.products.set_quantities(tx, {event.product_id: event.available})
        after_change(tx, [event.product_id], deps)


async def on_stocks_changed(event: StocksChanged, deps: CatalogDeps) -> None:
    quantities = {units.product_id: units.quantity for units in event.items}
    async with deps.transaction() as tx:
        await deps.products.set_quantities(tx, quantities)
        after_change(tx, list(quantities), deps)


async def on_rating_changed(event: RatingChanged, deps: CatalogDeps) -> None:
    async with deps.transaction() as tx:
        await deps.products.set_rating(tx, event.product_id, event.average_hundredths, event.count)
        after_change(tx, [event.product_id], deps)


def after_change(tx: Transaction, product_ids: Sequence[str], deps: CatalogDeps, edited: bool = False) -> None:
    """Once it is committed: kept answers about these products are forgotten, and the index hears of them. `edited`: more than their figures is new."""
    tags = [f"product:{product_id}" for product_id in product_ids]
    if edited:
        tags += ["categories", *(f"picture:{product_id}" for product_id in product_ids)]
    tx.sql.after_commit(partial(deps.purge, *tags))
    tx.sql.after_commit(deps.feed.wake)
