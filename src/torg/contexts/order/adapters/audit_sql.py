"""What must hold for orders, checked against the log itself. Each look goes on where the last one ended, so that its cost follows what is new."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.model import TRANSITIONS, Order, apply, fold
from torg.kit.messages import Event
from torg.kit.operations import Invariant
from torg.kit.store import Store
from torg.kit.values import moment, stamp

LOOKS, LOOK = 20, 250  # so many times so many log rows at one asking
WHILE = timedelta(hours=1)  # clocks of several processes, and commits that took their time


class SqlOrderAudit:
    """Replays the log beside the shop and compares."""

    def __init__(self, store: Store, orders: SqlOrderStore) -> None:
        self._store, self._orders = store, orders
        self._position = 0
        self._strayed: list[str] = []
        self._placed = ""  # when the newest order was placed that was looked at

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
        """Orders placed since the last look, and a while before, whose cart is known to have been ordered by another."""
        since = self._placed and stamp(moment(self._placed) - WHILE)
        rows = await self._store.database.all(
            """select o.bucket_id, o.id, c.order_id from orders o left join order_of_cart c on c.bucket_id = o.bucket_id
               where o.created_at >= :since and (c.order_id is null or c.order_id <> o.id) order by o.id limit 100""",
            since=since,
        )
        if not rows:  # else it is told until it is mended
            self._placed = await self._store.database.value("select max(created_at) from orders") or ""
        return [f"cart {row['bucket_id']} was ordered by {row['id']}, and by {row['order_id'] or 'nobody that is known'}" for row in rows]

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
