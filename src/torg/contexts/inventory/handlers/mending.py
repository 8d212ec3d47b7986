"""Making the tables of stock what the log says, while people order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from torg.contexts.inventory.contracts import RebuildStock, StockMended
from torg.contexts.inventory.handlers.folding import Fold
from torg.contexts.inventory.handlers.telling import tell
from torg.contexts.inventory.model.reservation import LIVE, as_logged
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.portions import portions
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.store import Transaction

AT_ONCE: Final = 100  # products, orders in a transaction: whoever orders them waits for no more
REASON: Final = "made what the log says"


async def rebuild_stock(cmd: RebuildStock, deps: InventoryDeps) -> Rebuilt:
    """Adds the log up beside the shop, then compares some products in a transaction: rows since are added in it, so that both are of one moment."""
    began, fold, found = time.perf_counter(), Fold(deps.book), Findings()
    await fold.catch_up()
    products = dict.fromkeys(fold.ledger.products()) | dict.fromkeys([product async for product in _all(deps.book.products)])
    orders = dict.fromkeys(fold.ledger.live) | dict.fromkeys([order async for order in _all(deps.book.live)])
    for mend, ids in ((_mend_shelves, products), (_mend_reservations, orders)):
        for some in portions(ids, AT_ONCE):
            await fold.catch_up()
            found.add(await deps.store.undisturbed(partial(mend, some, fold, cmd, deps), cmd.NAME))
    return found.rebuilt(time.perf_counter() - began)


async def _all(page: Callable[[str, int], Awaitable[Sequence[str]]]) -> AsyncIterator[str]:
    after = ""
    while ids := await page(after, AT_ONCE):
        for after in ids:
            yield after


async def _mend_shelves(products: Sequence[str], fold: Fold, cmd: RebuildStock, deps: InventoryDeps) -> Findings:
    found = Findings(len(products))
    async with deps.transaction() as tx:
        await fold.add(tx)
        there, impossible = await deps.book.shelves(tx, products), set[str]()
        for key in sorted({*there, *(key for product in products for key in fold.ledger.shelves_of(product))}):
            (product, warehouse), said, is_now = key, fold.ledger.shelf(key), there.get(key, (0, 0))
            if not 0 <= said[1] <= said[0]:
                found.left.append(f"{product} in {warehouse}: the log itself says {said[1]} reserved of {said[0]}: count what lies there and correct it")
                impossible.add(product)
            elif said != is_now:
                found.changes.append(f"{product} in {warehouse}: {_units(is_now)}; by the log {_units(said)}")
                if not cmd.dry_run:
                    await deps.shelves.set(tx, product, warehouse, *said)
                    await _note(tx, product, "shelf", f"{product} in {warehouse}", _units(is_now), _units(said), cmd)
        offers = await deps.book.offers(tx, products)
        for product in products:
            free = sum(on_hand - reserved for on_hand, reserved in map(fold.ledger.shelf, fold.ledger.shelves_of(product)))
            if product not in impossible and (was := offers.get(product, 0)) != free:
                found.changes.append(f"{product}: {was} for sale; {free} free by the log")
                if not cmd.dry_run:
                    offer = await deps.shelves.offer(tx, product, free - was)
                    await _note(tx, product, "offer", product, f"{was} for sale", f"{free} for sale", cmd)
                    await tell(tx, [offer])
    return found


async def _mend_reservations(orders: Sequence[str], fold: Fold, cmd: RebuildStock, deps: InventoryDeps) -> Findings:
    """One that is live again does not run out: its order's saga ends it."""
    found = Findings(len(orders))
    async with deps.transaction() as tx:
        await fold.add(tx)
        statuses = await deps.book.statuses(tx, orders)
        for order_id in orders:
            is_now = statuses.get(order_id, "nowhere")
            if (is_now in LIVE) == (order_id in fold.ledger.live):
                continue
            said = as_logged(order_id, [row.message for row in await tx.stream(order_id)])
            found.changes.append(f"the reservation of order {order_id} is {is_now}; by the log {said.status}")
            if not cmd.dry_run:
                await deps.reservations.file(tx, order_id, said.status, said.answer, None)
                await _note(tx, order_id, "reservation", order_id, is_now, said.status, cmd)
    return found


async def _note(tx: Transaction, stream: str, about: str, id: str, was: str, now: str, cmd: RebuildStock) -> None:
    await tx.append(stream, [StockMended(about=about, id=id, was=was, now=now, reason=cmd.reason or REASON, by=cmd.operator.user_id)])


def _units(shelf: tuple[int, int]) -> str:
    return f"{shelf[0]} on hand, {shelf[1]} reserved"
