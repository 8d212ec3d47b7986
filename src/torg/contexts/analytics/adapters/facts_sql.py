"""Facts over SQL, with rollups by day and month kept in the commit of each sale."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from torg.contexts.analytics import model
from torg.contexts.analytics.adapters.recount_sql import BESIDE, PORTIONS, ROLLUPS, Portions, SqlRecount
from torg.contexts.analytics.adapters.reports import Reports
from torg.contexts.analytics.adapters.sales_sql import SqlSales
from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.model import Fact, Sale
from torg.contexts.analytics.ports import Recounted
from torg.kit.sql import Database, SqlTransaction
from torg.kit.sql.parts import listed
from torg.kit.sql.port import A_MOMENT
from torg.kit.store import Transaction
from torg.kit.values import Clock, NewId, stamp

_ROLLUP = """insert into {table} (dimension, {grain}, key, orders, units, revenue)
    values (:dimension, :at, :key, :orders, :units, :revenue)
    on conflict (dimension, {grain}, key) do update set orders = {table}.orders + excluded.orders,
        units = {table}.units + excluded.units, revenue = {table}.revenue + excluded.revenue"""
_BUYER = """insert into {table} (user_id, month, orders) values (:user_id, :month, :orders)
    on conflict (user_id, month) do update set orders = {table}.orders + excluded.orders"""
_PAIR = """insert into {table} (product_id, other_id, times) values (:product_id, :other_id, 1)
    on conflict (product_id, other_id) do update set times = {table}.times + 1"""


class SqlCounts:
    """Sales, what they come to by day and month, and what is bought together, in the tables that serve or in those `beside` them."""

    def __init__(self, database: Database, beside: str = "") -> None:
        self.sales = SqlSales(database, beside)
        self._day, self._month = (_ROLLUP.format(table=f"{beside}rollup_{grain}", grain=grain) for grain in ("day", "month"))
        self._buyer = _BUYER.format(table=f"{beside}buyer_month")
        self._pair = _PAIR.format(table=f"{beside}bought_together")

    async def count(self, tx: SqlTransaction, fact: Fact) -> bool:
        """Whether it changed anything."""
        change = await self.sales.take(tx, fact)
        if change is None:
            return False
        before, after = change
        sale = after or before
        assert sale is not None, "what has changed was there before or is there now"
        counted = model.changes(before, after)
        rows: list[dict[str, Any]] = [{**vars(count), "at": sale.day} for count in counted]
        await tx.execute_many(self._day, rows)
        await tx.execute_many(self._month, [{**row, "at": sale.day[:7]} for row in rows if row["dimension"] != "day"])
        if before is None or after is None:
            await tx.execute(self._buyer, user_id=sale.user_id, month=sale.day[:7], orders=1 if after else -1)
        if isinstance(fact, Sale):
            await tx.execute_many(self._pair, [{"product_id": one, "other_id": other} for one, other in model.pairs(fact.lines)])
        return True


class SqlFacts(Reports):
    """Implements Facts."""

    def __init__(self, database: Database, clock: Clock, new_id: NewId, portions: Portions = PORTIONS) -> None:
        super().__init__(database.relaxed(A_MOMENT))
        self._database, self._counts = database, SqlCounts(database)
        self._recount = SqlRecount(database, clock, new_id, SqlCounts(database, BESIDE).count, ROLLUPS, portions)

    async def count(self, tx: Transaction, fact: Fact) -> None:
        await self._recount.note(tx.sql, fact)
        await self._counts.count(tx.sql, fact)

    async def recount(self, history: AsyncIterator[Sequence[Fact]]) -> Recounted:
        return Recounted(*await self._recount.run(history))

    async def record(self, tx: Transaction, events: Sequence[Behaviour], at: datetime) -> int:
        new = 0
        for event in events:
            filed = await tx.execute(
                """insert into behaviour (id, at, kind, visitor, product_id, query)
                   values (:id, :at, :kind, :visitor, :product_id, :query) on conflict do nothing""",
                **msgspec.structs.asdict(event),
                at=stamp(at),
            )
            if filed and event.kind in model.FUNNEL_STEPS:
                await self.step(tx, model.FUNNEL_STEPS[event.kind], event.visitor, at)
            new += filed
        return new

    async def step(self, tx: Transaction, step: str, visitor: str, at: datetime) -> None:
        await tx.execute(
            "insert into funnel_visit (day, step, visitor) values (:day, :step, :visitor) on conflict do nothing",
            day=stamp(at)[:10],
            step=step,
            visitor=visitor,
        )

    async def forget(self, tx: Transaction, visitor: str) -> None:
        await tx.execute("update behaviour set visitor = '', product_id = '', query = '' where visitor = :visitor", visitor=visitor)

    async def days(self, after: str, limit: int) -> Sequence[str]:
        reported = await self._database.all(
            "select day from rollup_day where dimension = 'day' and day > :after order by day limit :limit", after=after, limit=limit
        )
        return sorted({row["day"] for row in reported} | set(await self._counts.sales.days(after, limit)))[:limit]

    async def newest_days(self) -> Sequence[str]:
        return await self._counts.sales.newest_days()

    async def miscounted(self, days: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        names, wanted = listed(days)
        rows = await self._database.all(f"select day, orders, revenue from rollup_day where dimension = 'day' and day in ({names})", **wanted)
        facts, report, nothing = await self._counts.sales.by_day(days), {row["day"]: (row["orders"], row["revenue"]) for row in rows}, (0, 0)
        wrong = [day for day in days if facts.get(day, nothing) != report.get(day, nothing)]
        return {day: (facts.get(day, nothing)[0], report.get(day, nothing)[0]) for day in wrong}

    async def first_sale(self, day: str) -> str:
        return await self._counts.sales.first(day)
