"""What must stay true of stock, checked against the log: what is new, and a slice of what is old, at each look."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from torg.contexts.inventory.contracts import ItemsReserved, StockChanged
from torg.contexts.inventory.handlers.folding import PORTION, Fold
from torg.contexts.inventory.model.ledger import Key, Ledger
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, not_before, since, untold
from torg.kit.messages import Event

READ: Final = 20_000  # log rows read at one look
PRODUCTS, ORDERS = 500, 500  # looked at together
MOVED: Final = 1000  # of those that have moved, as many
NEWEST: Final = 200  # rows of the log
TRACED: Final = 20_000  # log rows read to tell since when
GRACE = timedelta(minutes=1)


class Auditor:
    """Adds the log up once, so many rows at a look, goes on where it stopped, and compares the shelves and orders that have moved since, and some others.
    Until all of the log is added up it has nothing to say."""

    def __init__(self, deps: InventoryDeps) -> None:
        self._deps, self._fold = deps, Fold(deps.book)
        self._turn = asyncio.Lock()
        self._next = 0
        book = deps.book
        self._shelves = Rounds(book.products, self._compare, PRODUCTS, self._moved_products)
        self._orders = Rounds(book.live, self._compare_orders, ORDERS, self._moved_orders)
        self._bounds = Rounds(book.products, self._out_of_bounds, PRODUCTS, partial(deps.store.log.lately, NEWEST))

    def invariants(self) -> tuple[Invariant, ...]:
        return (
            Invariant(
                "inventory.adds_up", "On hand = received - shipped + returned ± corrections, reserved = live reservations, by the log.", self.adds_up,
                "rebuild_stock", self._since_when, self._shelves.come,
            ),
            Invariant(
                "inventory.within_bounds", "0 ≤ reserved ≤ on hand, and what is for sale is what is free on the shelves.", self._bounds.check,
                "rebuild_stock", self._last_told, self._bounds.come,
            ),
            Invariant("inventory.holds_end", "No reservation outlives its expiry by more than a minute.", self.holds_end, "restart", self._held),
        )  # fmt: skip

    async def adds_up(self) -> list[Fault]:
        async with self._turn:
            try:
                if not await self._fold.catch_up(READ):
                    return []
                return await self._shelves.check() + await self._orders.check()
            except BaseException:  # the rows just added may never have been committed: begin anew
                self._fold = Fold(self._deps.book)
                raise

    async def holds_end(self) -> list[Fault]:
        overdue = await self._deps.book.overdue(self._deps.clock() - GRACE)
        return [Fault(sentence=f"order {order_id} still holds items although its hold is over", about="order", id=order_id) for order_id in overdue]

    # ---------------------------------------------------------------- shelves

    async def _moved_products(self) -> list[str]:
        return _some(self._fold.ledger.touched)

    async def _compare(self, products: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        await self._fold.catch_up(READ)
        async with self._deps.transaction() as tx:
            await self._fold.add(tx)
            there = await self._deps.book.shelves(tx, products)
        faults: dict[str, list[Fault]] = {}
        for key in sorted({*there, *(key for product in products for key in self._fold.ledger.shelves_of(product))}):
            said, is_now = self._fold.ledger.shelf(key), there.get(key, (0, 0))
            if said != is_now:
                product, warehouse = key
                sentence = f"{product} in {warehouse}: (on hand, reserved) is {is_now}, but the log says {said}"
                faults.setdefault(product, []).append(Fault(sentence=sentence, about="product", id=product, key=warehouse))
        return faults

    async def _since_when(self, fault: Fault) -> Beginning:
        """Adds the log up anew until the shelf was as it is now for the last time: the row that moved it next was not carried into the table."""
        if fault.about == "order":
            history = await self._deps.store.log.stream(fault.id)
            return not_before(history[-1] if history else None, "the log has no row that makes the reservation what it is")
        key: Key = (fault.id, fault.key)
        async with self._deps.transaction() as tx:
            is_now = (await self._deps.book.shelves(tx, [fault.id])).get(key, (0, 0))
        ledger, position, parted, last, read = Ledger(), 0, None, None, 0
        while rows := await self._deps.store.log.tail(position, PORTION):
            for row in rows:
                before = ledger.shelf(key)
                if isinstance(row.message, Event):
                    ledger.apply(row.message)
                if ledger.shelf(key) != before:
                    parted = row if before == is_now else None if ledger.shelf(key) == is_now else parted
                    last = row
            position, read = rows[-1].position, read + len(rows)
            if read >= TRACED:
                return untold(f"the log has more than {TRACED} rows, which is more than are added up anew for this")
            await asyncio.sleep(0)
        if parted:
            return since(parted, "the shelf is as it was before this row")
        return not_before(last, "the log has no row that makes the shelf what it is: something else has changed it")

    # ---------------------------------------------------------------- reservations

    async def _moved_orders(self) -> list[str]:
        live = list(self._fold.ledger.live)
        others = live[self._next : self._next + ORDERS]
        self._next = self._next + ORDERS if self._next + ORDERS < len(live) else 0
        return _some(self._fold.ledger.moved) + others

    async def _compare_orders(self, order_ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        async with self._deps.transaction() as tx:
            await self._fold.add(tx)
            statuses = await self._deps.book.statuses(tx, order_ids)
        faults: dict[str, list[Fault]] = {}
        for order_id in order_ids:
            status = statuses.get(order_id, "nowhere")
            if (status in ("held", "secured")) != (order_id in self._fold.ledger.live):
                said = "it holds items" if order_id in self._fold.ledger.live else "it holds nothing"
                faults[order_id] = [Fault(sentence=f"the reservation of order {order_id} is {status}, but by the log {said}", about="order", id=order_id)]
        return faults

    async def _held(self, fault: Fault) -> Beginning:
        reserved = [row for row in await self._deps.store.log.stream(fault.id) if isinstance(row.message, ItemsReserved)]
        return not_before(reserved[0] if reserved else None, "its hold began with this row, and ended with its time; nothing in the log has let it go")

    # ---------------------------------------------------------------- bounds

    async def _out_of_bounds(self, products: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        shelves, offers = await self._deps.book.broken_shelves(products)
        faults: dict[str, list[Fault]] = {}
        for product, said in (*shelves, *offers):
            faults.setdefault(product, []).append(Fault(sentence=said, about="product", id=product))
        return faults

    async def _last_told(self, fault: Fault) -> Beginning:
        log = self._deps.store.log
        rows = await log.stream(fault.id, after=max(await log.last_version(fault.id) - 2, 0))
        told = [row for row in rows if isinstance(row.message, StockChanged)]
        return not_before(told[-1] if told else None, "what was told last of the product fitted: something that is not in the log has changed its numbers")


def _some(names: set[str]) -> list[str]:
    """Takes as many as one look takes."""
    chosen = sorted(names)[:MOVED]
    names.difference_update(chosen)
    return chosen
