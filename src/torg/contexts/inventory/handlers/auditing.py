"""What must stay true of stock, checked against the log."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from torg.contexts.inventory.model.ledger import Key, Ledger
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.operations import Invariant
from torg.kit.portions import portions
from torg.kit.store import Transaction

PORTION = 500  # log rows or shelves between two breaths
GRACE = timedelta(minutes=1)
ENOUGH = 20  # faults told at once


class Auditor:
    """Adds the log up once, goes on where it stopped, and compares the shelves that changed since; the first look compares all."""

    def __init__(self, deps: InventoryDeps) -> None:
        self._deps, self._ledger, self._position = deps, Ledger(), 0
        self._ahead: set[int] = set()  # positions of rows that are in the ledger already, although others may still appear before them
        self._turn = asyncio.Lock()

    def invariants(self) -> tuple[Invariant, ...]:
        return (
            Invariant("inventory.adds_up", "On hand = received - shipped + returned ± corrections, reserved = live reservations, by the log.", self.adds_up),
            Invariant("inventory.within_bounds", "0 ≤ reserved ≤ on hand, and what is for sale is what is free on the shelves.", self.within_bounds),
            Invariant("inventory.holds_end", "No reservation outlives its expiry by more than a minute.", self.holds_end),
        )

    async def adds_up(self) -> list[str]:
        async with self._turn:
            try:
                return await self._look()
            except BaseException:  # the rows just added may never have been committed: begin anew
                self._ledger, self._position, self._ahead = Ledger(), 0, set()
                raise

    async def _look(self) -> list[str]:
        await self._catch_up()
        ledger, faults = self._ledger, list[tuple[Key, str]]()
        suspects, ledger.touched = ledger.touched, set()
        for keys in portions(sorted(suspects), PORTION):
            await self._catch_up()
            async with self._deps.transaction() as tx:
                await self._add(tx)
                faults += await self._compare(tx, keys)
            await asyncio.sleep(0)
        ledger.touched |= {key for key, _ in faults}
        return [said for _, said in faults[:ENOUGH]] + await self._count_live()

    async def within_bounds(self) -> list[str]:
        return await self._deps.book.broken_shelves()

    async def holds_end(self) -> list[str]:
        overdue = await self._deps.book.overdue(self._deps.clock() - GRACE)
        return [f"order {order_id} still holds items although its hold is over" for order_id in overdue]

    async def _catch_up(self) -> None:
        """Whatever is committed, with a breath after each portion."""
        while entries := await self._deps.book.entries(self._position, PORTION):
            for self._position, event in entries:
                if self._position not in self._ahead:
                    self._ledger.apply(event)
                self._ahead.discard(self._position)
            await asyncio.sleep(0)

    async def _add(self, tx: Transaction) -> None:
        """The rest, so that log and shelves are seen at one moment."""
        after = self._position
        while entries := await self._deps.book.entries_seen(tx, after, PORTION):
            for after, event in entries:
                if after not in self._ahead:
                    self._ahead.add(after)
                    self._ledger.apply(event)

    async def _compare(self, tx: Transaction, keys: tuple[Key, ...]) -> list[tuple[Key, str]]:
        there = await self._deps.book.shelves(tx, keys)
        faults = []
        for key in keys:
            said, is_now = self._ledger.shelf(key), there.get(key, (0, 0))
            if said != is_now:
                product, warehouse = key
                faults.append((key, f"{product} in {warehouse}: (on hand, reserved) is {is_now}, but the log says {said}"))
        return faults

    async def _count_live(self) -> list[str]:
        async with self._deps.transaction() as tx:
            await self._add(tx)
            there = await self._deps.book.live(tx)
        live = len(self._ledger.live)
        return [] if there == live else [f"{there} reservations are live, but by the log it is {live}"]
