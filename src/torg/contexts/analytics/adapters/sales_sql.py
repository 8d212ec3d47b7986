"""Which sales stand, in the context's own store: what a return or a cancellation takes back depends on it, so it changes in the commit that files the event."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

import msgspec

from torg.contexts.analytics.model import Fact, Return, Sale, Undone
from torg.contexts.order.contracts import OrderLine
from torg.kit.messages import encode
from torg.kit.sql import Database, Row, SqlTransaction
from torg.kit.sql.parts import listed

Change = tuple[Sale | None, Sale | None]
"""A sale before a fact and after it."""

_lines = msgspec.json.Decoder(tuple[OrderLine, ...]).decode


class SqlSales:
    """The tables `sale` and `taken_back`, or those `beside` them with a prefix."""

    def __init__(self, database: Database, beside: str = "") -> None:
        self._database, self._sale, self._taken_back = database, f"{beside}sale", f"{beside}taken_back"

    async def take(self, tx: SqlTransaction, fact: Fact) -> Change | None:
        """Files a fact. None where it changes nothing: it was filed before, or is about a sale that does not stand."""
        row = await tx.one(f"select * from {self._sale} where order_id = :order_id", order_id=fact.order_id)
        sale = _sale(row) if row else None
        match fact:
            case Sale() if sale is None and not await self._is_taken_back(tx, fact.order_id):
                filed = await tx.execute(
                    f"""insert into {self._sale} (order_id, user_id, day, city, revenue, lines)
                        values (:order_id, :user_id, :day, :city, :revenue, :lines) on conflict do nothing""",
                    **_row(fact),
                )
                return (None, fact) if filed else None
            case Return() if sale is not None and await self._take_back(tx, fact.return_id):
                left = sale.without(fact)
                kept = _row(left)
                statement = f"update {self._sale} set revenue = :revenue, lines = :lines where order_id = :order_id"
                await tx.execute(statement, order_id=left.order_id, revenue=kept["revenue"], lines=kept["lines"])
                return sale, left
            case Undone() if sale is not None:
                await self._take_back(tx, fact.order_id)
                await tx.execute(f"delete from {self._sale} where order_id = :order_id", order_id=fact.order_id)
                return sale, None
            case _:
                return None

    async def days(self, after: str, limit: int) -> list[str]:
        """So many days behind one with sales that stand: each costs one look into the index."""
        return await self._steps(f"select min(day) from {self._sale} where day > :day", after, limit)

    async def newest_days(self) -> list[str]:
        """The newest two."""
        return await self._steps(f"select max(day) from {self._sale} where day < :day", "9", 2)

    async def _steps(self, statement: str, day: str, limit: int) -> list[str]:
        found = list[str]()
        while len(found) < limit and (day := await self._database.value(statement, day=day)):
            found.append(day)
        return found

    async def first(self, day: str) -> str:
        """The first order of a day that stands; empty where none does."""
        return await self._database.value(f"select min(order_id) from {self._sale} where day = :day", day=day) or ""

    async def by_day(self, days: Sequence[str]) -> dict[str, tuple[int, int]]:
        """How many sales stand and what they are worth, by day."""
        names, wanted = listed(days)
        rows = await self._database.all(
            f"select day, count(*) as orders, cast(sum(revenue) as bigint) as revenue from {self._sale} where day in ({names}) group by day", **wanted
        )
        return {row["day"]: (row["orders"], row["revenue"]) for row in rows}

    async def standing_together(self, tx: SqlTransaction, size: int) -> AsyncIterator[list[Sale]]:
        """All that stand, so many at a time."""
        last = ""
        while rows := await tx.all(f"select * from {self._sale} where order_id > :last order by order_id limit :size", last=last, size=size):
            yield [_sale(row) for row in rows]
            last = rows[-1]["order_id"]

    async def unknown(self, order_ids: Collection[str]) -> list[str]:
        """Those of these orders that never were a sale."""
        names, given = listed(order_ids)
        known = await self._database.all(
            f"select order_id as id from {self._sale} where order_id in ({names}) union all select id from {self._taken_back} where id in ({names})", **given
        )
        return sorted(set(order_ids) - {row["id"] for row in known})

    async def _take_back(self, tx: SqlTransaction, id: str) -> bool:
        """Whether this is the first time."""
        return bool(await tx.execute(f"insert into {self._taken_back} (id) values (:id) on conflict do nothing", id=id))

    async def _is_taken_back(self, tx: SqlTransaction, id: str) -> bool:
        return await tx.value(f"select 1 from {self._taken_back} where id = :id", id=id) is not None


def _row(sale: Sale) -> dict[str, Any]:
    return {**msgspec.structs.asdict(sale), "lines": encode(sale.lines).decode()}


def _sale(row: Row) -> Sale:
    return Sale(row["order_id"], row["user_id"], row["day"], row["city"], row["revenue"], _lines(row["lines"]))
