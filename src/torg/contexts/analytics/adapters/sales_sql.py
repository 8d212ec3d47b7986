"""Which sales stand, in the context's own store: what a return or a cancellation takes back depends on it, so it changes in the commit that files the event."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from torg.contexts.analytics.ports import Sale
from torg.contexts.order.contracts import OrderLine
from torg.kit.messages import encode
from torg.kit.sql import Database, Row, SqlTransaction
from torg.kit.store import Transaction

_lines = msgspec.json.Decoder(tuple[OrderLine, ...]).decode


class SqlSales:
    """The table `sale`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def file(self, tx: Transaction, sale: Sale) -> bool:
        """Whether the sale is a new one."""
        filed = await tx.execute(
            """insert into sale (order_id, user_id, day, city, revenue, lines)
               values (:order_id, :user_id, :day, :city, :revenue, :lines) on conflict do nothing""",
            order_id=sale.order_id, user_id=sale.user_id, day=sale.day, city=sale.city, revenue=sale.revenue, lines=encode(sale.lines).decode(),
        )  # fmt: skip
        return bool(filed)

    async def standing(self, tx: Transaction, order_id: str) -> Sale | None:
        """The sale with what is left of it."""
        row = await tx.one("select * from sale where order_id = :order_id", order_id=order_id)
        return _sale(row) if row else None

    async def drop(self, tx: Transaction, order_id: str) -> None:
        """Nothing of it is left."""
        await tx.execute("delete from sale where order_id = :order_id", order_id=order_id)

    async def keep(self, tx: Transaction, sale: Sale) -> None:
        """This is what is left."""
        await tx.execute(
            "update sale set revenue = :revenue, lines = :lines where order_id = :order_id",
            order_id=sale.order_id,
            revenue=sale.revenue,
            lines=encode(sale.lines).decode(),
        )

    async def by_day(self) -> dict[str, tuple[int, int]]:
        """How many sales stand and what they are worth, by day."""
        rows = await self._database.all("select day, count(*) as orders, cast(sum(revenue) as bigint) as revenue from sale group by day")
        return {row["day"]: (row["orders"], row["revenue"]) for row in rows}

    async def standing_together(self, tx: SqlTransaction, size: int) -> AsyncIterator[list[Sale]]:
        """All that stand, so many at a time."""
        last = ""
        while rows := await tx.all("select * from sale where order_id > :last order by order_id limit :size", last=last, size=size):
            yield [_sale(row) for row in rows]
            last = rows[-1]["order_id"]


def _sale(row: Row) -> Sale:
    return Sale(row["order_id"], row["user_id"], row["day"], row["city"], row["revenue"], _lines(row["lines"]))
