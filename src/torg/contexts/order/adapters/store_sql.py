"""Orders over SQL: the log makes them, the table `orders` lists them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from torg.contexts.order.contracts import OrderCount, OrderPlaced, OrderView, Status
from torg.contexts.order.model import ENDED, Order, already_ordered, apply, fold, without_person
from torg.kit.errors import DomainError, NotFound
from torg.kit.messages import Event, encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.saga_runner import ACTIVE
from torg.kit.sql import Database
from torg.kit.sql.parts import listed, where
from torg.kit.sql.port import A_MOMENT, Row
from torg.kit.store import Store, Transaction
from torg.kit.values import Clock, stamp

SNAPSHOTS = 2048  # orders whose latest state is kept in memory
FOUND_BY = "user_id, status, created_at"  # the columns by which lists find an order
_decode = msgspec.json.Decoder(OrderView).decode


class SqlOrderStore:
    """Implements OrderStore."""

    def __init__(self, database: Database, clock: Clock, former: Callable[[str], Awaitable[Sequence[Store]]] | None = None) -> None:
        self._database, self._clock, self._former = database, clock, former
        self._snapshots: OrderedDict[str, tuple[int, Order]] = OrderedDict()  # durable states, so that a fold begins where the last one ended
        self._overlap = 1 if database.shared else 0

    async def place(self, tx: Transaction, placed: OrderPlaced) -> Order:
        rows = await tx.append(placed.order_id, [placed], expected=0)
        order = apply(None, placed, rows[0].at)
        self._remember(tx, order, rows[0].version)
        view = order.view()
        first = await tx.execute(
            "insert into order_of_cart (bucket_id, order_id) values (:bucket_id, :id) on conflict do nothing", bucket_id=view.bucket_id, id=view.id
        )
        if not first:
            raise already_ordered()
        await tx.execute(
            """insert into orders (id, user_id, bucket_id, status, created_at, updated_at, view)
               values (:id, :user_id, :bucket_id, :status, :created_at, :created_at, :view)""",
            id=view.id, user_id=view.user_id, bucket_id=view.bucket_id, status=view.status, created_at=stamp(view.created_date), view=encode(view).decode(),
        )  # fmt: skip
        return order

    async def ordered_elsewhere(self, user_id: str, cart_id: str) -> bool:
        for store in await self._former(user_id) if self._former else ():
            if await store.database.value("select 1 from order_of_cart where bucket_id = :cart_id", cart_id=cart_id):
                return True
        return False

    async def load(self, tx: Transaction, order_id: str) -> Order:
        version, known = self._snapshots.get(order_id, (0, None))
        rows = await tx.stream(order_id, after=version - self._overlap)
        if known and self._overlap:
            if rows and rows[0].version == version:
                rows = rows[1:]
            else:  # another transaction brought that state after this one had begun: here it has not happened
                rows, known = await tx.stream(order_id), None
        order = fold(rows, known)
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
            "update orders set status = :status, updated_at = :at, view = :view, erased = 0 where id = :id",
            id=order.id, status=view.status, at=stamp(view.updated_at), view=encode(view).decode(),
        )  # fmt: skip
        return order

    async def relist(self, tx: Transaction, order_id: str, dry_run: bool) -> tuple[str, str]:
        rows = await tx.stream(order_id)
        order = fold(rows) if rows and isinstance(rows[0].message, OrderPlaced) else None
        if order is None:
            raise NotFound("order.not_found", f"the log has no beginning of an order {order_id}")
        view, row = order.view(), await tx.one(f"select {FOUND_BY}, view from orders where id = :id", id=order_id)
        claimed = await tx.value("select order_id from order_of_cart where bucket_id = :bucket_id", bucket_id=view.bucket_id)
        if claimed and claimed != order_id and await self._bucket_of(tx, claimed) != view.bucket_id:
            claimed = None
        listed = await tx.value("select id from orders where bucket_id = :bucket_id and id <> :id", bucket_id=view.bucket_id, id=view.id)
        if row is None and listed:
            raise DomainError("order.cart_listed", f"order {listed} is listed with the cart of {order_id}: cancel one of the two; which, the buyer knows")
        right = row is not None and _decode(row["view"]) == view and not _misfiled(row, view)
        was = f"{row['status']}, {'as' if right else 'not as'} the log has it" if row else "not listed"
        if right and claimed:
            return was, was
        if not dry_run:
            await tx.execute(
                """insert into orders (id, user_id, bucket_id, status, created_at, updated_at, view)
                   values (:id, :user_id, :bucket_id, :status, :created_at, :at, :view)
                   on conflict (id) do update set user_id = excluded.user_id, status = excluded.status, created_at = excluded.created_at,
                       updated_at = excluded.updated_at, view = excluded.view""",
                id=view.id, user_id=view.user_id, bucket_id=view.bucket_id, status=view.status, created_at=stamp(view.created_date),
                at=stamp(view.updated_at), view=encode(view).decode(),
            )  # fmt: skip
            await tx.execute(
                """insert into order_of_cart (bucket_id, order_id) values (:bucket_id, :id)
                   on conflict (bucket_id) do update set order_id = excluded.order_id""",
                bucket_id=view.bucket_id, id=claimed or view.id,
            )  # fmt: skip
        return was if claimed else f"{was}; its cart known to be another one's", f"{view.status}, as the log has it"

    async def _bucket_of(self, tx: Transaction, order_id: str) -> str:
        rows = await tx.stream(order_id)
        return rows[0].message.bucket_id if rows and isinstance(rows[0].message, OrderPlaced) else ""

    def _remember(self, tx: Transaction, order: Order, version: int) -> None:
        def keep() -> None:
            self._snapshots[order.id] = (version, order)
            if len(self._snapshots) > SNAPSHOTS:
                self._snapshots.popitem(last=False)

        tx.sql.after_commit(keep)

    async def find(self, order_id: str) -> OrderView | None:
        text = await self._database.value("select view from orders where id = :id", id=order_id)
        return _decode(text) if text else None

    async def filed(self, order_ids: Sequence[str]) -> dict[str, tuple[OrderView, str]]:
        """Of several at once, those that there are; with the columns by which a list would show one to the wrong person or in the wrong place."""
        names, wanted = listed(order_ids)
        rows = await self._database.all(f"select id, {FOUND_BY}, view from orders where id in ({names})", **wanted)
        views = {row["id"]: _decode(row["view"]) for row in rows}
        return {row["id"]: (views[row["id"]], _misfiled(row, views[row["id"]])) for row in rows}

    async def page(self, user_id: str, since: str, until: str, status: Status | None, cursor: str, limit: int) -> Page[OrderView]:
        at, id = after_time(cursor)
        wanted = where(
            ("user_id = :user_id", user_id),
            ("created_at >= :since", since),
            ("created_at < :until", until),
            ("status = :status", status),
            ("(created_at, id) < (:at, :id)", cursor),
        )
        rows = await self._database.relaxed(0 if user_id else A_MOMENT).all(
            f"select id, created_at, view from orders where {wanted} order by created_at desc, id desc limit :limit",
            user_id=user_id, since=since, until=until, status=status, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: _decode(row["view"]), "created_at", "id")

    async def erase_later(self, tx: Transaction, user_id: str) -> None:
        await tx.execute(
            "insert into erasure (user_id, at) values (:user_id, :now) on conflict (user_id) do update set at = excluded.at",
            user_id=user_id, now=stamp(self._clock()),
        )  # fmt: skip

    async def erasable(self, limit: int) -> Sequence[tuple[str, str]]:
        states, wanted = listed(ENDED)
        rows = await self._database.all(
            f"""select o.id, o.user_id from erasure e join orders o on o.user_id = e.user_id where o.erased = 0 and o.status in ({states})
                and not exists (select 1 from saga s where s.subject = o.id and s.status in {ACTIVE}) order by o.user_id, o.id limit :limit""",
            limit=limit, **wanted,
        )  # fmt: skip
        return [(row["id"], row["user_id"]) for row in rows]

    async def erase(self, tx: Transaction, order: Order) -> None:
        order = await self.change(tx, order, order.erase_buyer())  # a fold that begins with a snapshot loses the address by this event
        await tx.redact(order.id, without_person)
        await tx.execute("update orders set erased = 1 where id = :id", id=order.id)
        await self.erase_later(tx, order.user_id)

    async def forget_erased(self, before: datetime) -> None:
        async with self._database.begin() as tx:
            await tx.execute(
                "delete from erasure where at < :before and not exists (select 1 from orders o where o.user_id = erasure.user_id and o.erased = 0)",
                before=stamp(before),
            )  # fmt: skip

    async def count(self, since: str) -> Sequence[OrderCount]:
        rows = await self._database.relaxed(A_MOMENT).all(
            "select status, count(*) as number from orders where created_at >= :since group by status order by status", since=since
        )
        return [OrderCount(row["status"], row["number"]) for row in rows]


def _misfiled(row: Row, view: OrderView) -> str:
    said = {"user_id": view.user_id, "status": view.status, "created_at": stamp(view.created_date)}
    return ", ".join(f"{column} {row[column]}" for column, right in said.items() if row[column] != right)
