"""What must hold for orders, checked against the log itself: what is new, and a slice of what is old, at each look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.contracts import OrderPlaced
from torg.contexts.order.model import TRANSITIONS, Order, apply, fold
from torg.kit.auditing import KEPT_WRONG, Beginning, Fault, Invariant, LogRounds, Rounds, not_before, since, untold
from torg.kit.messages import Envelope, Event
from torg.kit.sql.parts import listed
from torg.kit.store import Store

AT_ONCE, NEWEST = 200, 200  # orders, rows of the log
CARTS: Final = 500  # orders
TRIES, PAUSE = 3, 0.1  # an order may move between the readings


class SqlOrderAudit:
    """Replays the log beside the shop and compares."""

    def __init__(self, store: Store, orders: SqlOrderStore, pause: float = PAUSE) -> None:
        self._store, self._orders = store, orders
        self._log = LogRounds(store.log)
        self._strayed: dict[str, list[Fault]] = {}
        newest = partial(store.log.lately, NEWEST)
        self._lists = Rounds(self._ids, self._differing, AT_ONCE, newest, TRIES, pause)
        self._carts = Rounds(self._ids, self._ordered_twice, CARTS, newest, TRIES, pause)

    def invariants(self) -> tuple[Invariant, ...]:
        lists, carts = self._lists, self._carts
        return (
            Invariant("order.transitions", "Orders move only along the allowed transitions, as the log shows.", self.strayed, come=self._log.come),
            Invariant("order.lists", "The lists of orders show what a replay of the log gives.", lists.check, "rebuild_order", self._since_when, lists.come),
            Invariant("order.one_per_cart", "A cart is ordered at most once.", carts.check, "cancel", self._second, carts.come),
        )

    async def _ids(self, after: str, limit: int) -> list[str]:
        rows = await self._store.database.all("select id from orders where id > :after order by id limit :limit", after=after, limit=limit)
        return [row["id"] for row in rows]

    # ---------------------------------------------------------------- the ways orders go

    async def strayed(self) -> list[Fault]:
        """Every transition of the orders of which the log has something new, and of some others."""
        walked = dict[str, int]()  # how far, by stream: most of an order's rows stand in other portions than its first
        async for rows in self._log.portions():
            reached = {row.stream: row.version for row in rows if isinstance(row.message, Event)}  # commands stand in the streams of their sagas
            further = [stream for stream, version in reached.items() if version > walked.get(stream, 0)]
            histories = await self._histories(further)
            for stream in further:
                history = histories.get(stream, [])
                walked[stream] = history[-1].version if history else reached[stream]
                self._note(stream, self._walk(stream, history))
        return [fault for stream in sorted(self._strayed) for fault in self._strayed[stream]]

    def _note(self, stream: str, faults: list[Fault]) -> None:
        self._strayed.pop(stream, None)
        if faults and len(self._strayed) < KEPT_WRONG:
            self._strayed[stream] = faults

    def _walk(self, stream: str, history: Sequence[Envelope]) -> list[Fault]:
        found, order = list[Fault](), None
        for row in history:
            before: Order | None = order
            order = apply(before, row.message, row.at)
            if before is not None and order.status not in {before.status, *TRANSITIONS[before.status]}:
                said = f"order {stream} went from {before.status} to {order.status} at version {row.version}"
                found.append(Fault(sentence=said, about="order", id=stream, began=since(row)))
        return found

    # ---------------------------------------------------------------- the lists

    async def _differing(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        """Streams of something else than orders are passed over."""
        found: dict[str, list[Fault]] = {}
        filed, histories = await self._orders.filed(ids), await self._histories(ids)
        for id in ids:
            shown, misfiled = filed.get(id, (None, ""))
            order = fold(histories.get(id, ()))
            if (shown or order) and (order is None or shown != order.view()):
                said = f"order {id}: the list says {shown and shown.status}, the log {order and order.status}"
                found[id] = [Fault(sentence=said, about="order", id=id)]
            elif misfiled:
                found[id] = [Fault(sentence=f"order {id}: the lists find it by {misfiled}, which the log does not say", about="order", id=id)]
        return found

    async def _since_when(self, fault: Fault) -> Beginning:
        shown, rows = await self._orders.find(fault.id), await self._history(fault.id)
        if not rows:
            return untold("the log has no row of this order, or not its first")
        if shown is None:
            return not_before(rows[0], "the list has no such order")
        order, fitting = None, -1
        for number, row in enumerate(rows):
            order = apply(order, row.message, row.at)
            fitting = number if order.view() == shown else fitting
        if 0 <= fitting < len(rows) - 1:
            return since(rows[fitting + 1], "the list has the order as it was before this row")
        if fitting >= 0:
            return not_before(rows[-1], "what the lists show of the order is right: something that is not in the log has changed by what they find it")
        why = "at no row of the log was the order what the list says: something that is not in the log has changed the list, or the log has lost its last rows"
        return not_before(rows[-1], f"{why}. See its parcel and its payment before the list is made what the log says")

    async def _history(self, stream: str) -> list[Envelope]:
        return (await self._histories((stream,))).get(stream, [])

    async def _histories(self, streams: Sequence[str]) -> dict[str, list[Envelope]]:
        """Orders' events; none of a stream that is something else, or that has lost its beginning (which is told of elsewhere)."""
        found = {stream: [row for row in rows if isinstance(row.message, Event)] for stream, rows in (await self._store.log.streams(streams)).items()}
        return {stream: rows for stream, rows in found.items() if rows and isinstance(rows[0].message, OrderPlaced)}

    # ---------------------------------------------------------------- carts

    async def _ordered_twice(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        """Orders whose cart is known to have been ordered by another."""
        names, wanted = listed(ids)
        rows = await self._store.database.all(
            f"""select o.bucket_id, o.id, c.order_id from orders o left join order_of_cart c on c.bucket_id = o.bucket_id
                where o.id in ({names}) and o.status not in ('cancelled', 'rejected') and (c.order_id is null or c.order_id <> o.id) order by o.id""",
            **wanted,
        )
        return {
            row["id"]: [
                Fault(
                    sentence=f"cart {row['bucket_id']} was ordered by {row['id']}, and by {row['order_id'] or 'nobody that is known'}",
                    about="order", id=row["id"], key=row["order_id"] or "", remedy="cancel" if row["order_id"] else "rebuild_order",
                )
            ]
            for row in rows
        }  # fmt: skip

    async def _second(self, fault: Fault) -> Beginning:
        """Of two orders the later one."""
        placed = [rows[0] for id in (fault.id, fault.key) if id and (rows := await self._store.log.stream(id))]
        if len(placed) > 1:
            return since(max(placed, key=lambda row: row.position))
        why = f"no order {fault.key} is in the log" if fault.key else "which cart was ordered by whom is not in the log by itself"
        return not_before(placed[0] if placed else None, why)
