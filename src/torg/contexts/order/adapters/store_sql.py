"""Orders over SQL: the log makes them, the table `orders` lists them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from torg.contexts.order.contracts import OrderCount, OrderPlaced, OrderView, Status
from torg.contexts.order.model import Order, apply, fold
from torg.kit.errors import DomainError, NotFound
from torg.kit.messages import Event, encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import stamp

SNAPSHOTS = 2048  # orders whose latest state is kept in memory
_decode = msgspec.json.Decoder(OrderView).decode


class SqlOrderStore:
    """Implements OrderStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._snapshots: OrderedDict[str, tuple[int, Order]] = OrderedDict()  # durable states, so that a fold begins where the last one ended

    async def place(self, tx: Transaction, placed: OrderPlaced) -> Order:
        rows = await tx.append(placed.order_id, [placed], expected=0)
        order = apply(None, placed, rows[0].at)
        self._remember(tx, order, rows[0].version)
        view = order.view()
        filed = await tx.execute(
            """insert into orders (id, user_id, bucket_id, status, created_at, updated_at, view)
               values (:id, :user_id, :bucket_id, :status, :created_at, :created_at, :view) on conflict do nothing""",
            id=view.id, user_id=view.user_id, bucket_id=view.bucket_id, status=view.status, created_at=stamp(view.created_date), view=encode(view).decode(),
        )  # fmt: skip
        if not filed:
            raise DomainError("cart.already_ordered", "this cart has been ordered already; your orders show it")
        return order

    async def load(self, tx: Transaction, order_id: str) -> Order:
        version, known = self._snapshots.get(order_id, (0, None))
        order = fold(await tx.stream(order_id, after=version), known)
        if order is None:
            raise NotFound("order.not_found", f"there is no order {order_id}")
        return order

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        if not events:
            return order
        rows = await tx.append(order.id, events)
        for row in rows:
            order = apply(order, row.message, row.at)
        self._remember(tx, order, rows[-1].version)
        view = order.view()
        await tx.execute(
            "update orders set status = :status, updated_at = :at, view = :view where id = :id",
            id=order.id, status=view.status, at=stamp(view.updated_at), view=encode(view).decode(),
        )  # fmt: skip
        return order

    def _remember(self, tx: Transaction, order: Order, version: int) -> None:
        def keep() -> None:
            self._snapshots[order.id] = (version, order)
            if len(self._snapshots) > SNAPSHOTS:
                self._snapshots.popitem(last=False)

        tx.sql.after_commit(keep)

    async def find(self, order_id: str) -> OrderView | None:
        text = await self._database.value("select view from orders where id = :id", id=order_id)
        return _decode(text) if text else None

    async def page(self, user_id: str, since: str, until: str, status: Status | None, cursor: str, limit: int) -> Page[OrderView]:
        at, id = after_time(cursor)
        wanted = where(
            ("user_id = :user_id", user_id),
            ("created_at >= :since", since),
            ("created_at < :until", until),
            ("status = :status", status),
            ("(created_at, id) < (:at, :id)", cursor),
        )
        rows = await self._database.all(
            f"select id, created_at, view from orders where {wanted} order by created_at desc, id desc limit :limit",
            user_id=user_id, since=since, until=until, status=status, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: _decode(row["view"]), "created_at", "id")

    async def count(self, since: str) -> Sequence[OrderCount]:
        rows = await self._database.all("select status, count(*) as number from orders where created_at >= :since group by status order by status", since=since)
        return [OrderCount(row["status"], row["number"]) for row in rows]
