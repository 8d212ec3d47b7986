"""What must hold for orders, checked against the log itself. Each look goes on where the last one ended, so that its cost follows what is new."""

from __future__ import annotations

import asyncio

from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.model import TRANSITIONS, Order, apply, fold
from torg.kit.messages import Event
from torg.kit.operations import Invariant
from torg.kit.store import Store

LOOKS, LOOK = 20, 250  # so many times so many log rows at one asking


class SqlOrderAudit:
    """Replays the log beside the shop and compares."""

    def __init__(self, store: Store, orders: SqlOrderStore) -> None:
        self._store, self._orders = store, orders
        self._position = 0
        self._strayed: list[str] = []

    def invariants(self) -> tuple[Invariant, ...]:
        return (
            Invariant("order.transitions", "Orders move only along the allowed transitions, as the log shows.", self.strayed),
            Invariant("order.lists", "The lists of orders show what a replay of the log gives.", self.differing),
            Invariant("order.one_per_cart", "A cart is ordered at most once.", self.ordered_twice),
        )

    async def strayed(self) -> list[str]:
        """Every transition of every order whose log grew since the last look."""
        for _ in range(LOOKS):
            rows = await self._store.log.tail(self._position, LOOK)
            if not rows:
                break
            await asyncio.sleep(0)  # the shop goes first
            self._position = rows[-1].position
            for stream in {row.stream for row in rows if isinstance(row.message, Event)}:  # commands stand in the streams of their sagas
                self._strayed += await self._walk(stream)
        return sorted(set(self._strayed))

    async def differing(self) -> list[str]:
        """The hundred orders that changed last, folded anew, against the list."""
        found = []
        for row in await self._store.database.all("select id from orders order by updated_at desc limit 100"):
            order = await self._replay(row["id"])
            shown = await self._orders.find(row["id"])
            if order is None or shown != order.view():
                again = await self._replay(row["id"])  # it may have moved between the two readings
                if again is None or await self._orders.find(row["id"]) != again.view():
                    found.append(f"order {row['id']}: the list says {shown and shown.status}, the log {again and again.status}")
        return found

    async def ordered_twice(self) -> list[str]:
        rows = await self._store.database.all("select bucket_id, count(*) as times from orders group by bucket_id having count(*) > 1")
        return [f"cart {row['bucket_id']} was ordered {row['times']} times" for row in rows]

    async def _walk(self, stream: str) -> list[str]:
        found, order = [], None
        for row in await self._store.log.stream(stream):
            before: Order | None = order
            order = apply(before, row.message, row.at)
            if before is not None and order.status not in {before.status, *TRANSITIONS[before.status]}:
                found.append(f"order {stream} went from {before.status} to {order.status} at version {row.version}")
        return found

    async def _replay(self, order_id: str) -> Order | None:
        return fold(await self._store.log.stream(order_id))
