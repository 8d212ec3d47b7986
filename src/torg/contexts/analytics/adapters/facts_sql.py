"""Facts over SQL, with rollups by day and month kept in the commit of each sale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from torg.contexts.analytics import model
from torg.contexts.analytics.adapters.reports import Reports
from torg.contexts.analytics.adapters.sales_sql import SqlSales
from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.ports import Return, Sale
from torg.contexts.order.contracts import OrderLine
from torg.kit.sql import Database
from torg.kit.sql.port import A_MOMENT
from torg.kit.store import Transaction
from torg.kit.values import stamp

_ROLLUP = """insert into rollup_{grain} (dimension, {grain}, key, orders, units, revenue)
    values (:dimension, :at, :key, :orders, :units, :revenue)
    on conflict (dimension, {grain}, key) do update set orders = rollup_{grain}.orders + excluded.orders,
        units = rollup_{grain}.units + excluded.units, revenue = rollup_{grain}.revenue + excluded.revenue"""
_DAY, _MONTH = _ROLLUP.format(grain="day"), _ROLLUP.format(grain="month")
_BUYER = """insert into buyer_month (user_id, month, orders) values (:user_id, :month, :orders)
    on conflict (user_id, month) do update set orders = buyer_month.orders + excluded.orders"""
_PAIR = """insert into bought_together (product_id, other_id, times) values (:product_id, :other_id, 1)
    on conflict (product_id, other_id) do update set times = bought_together.times + 1"""
_MISCOUNTED = """select coalesce(f.day, r.day) as day, coalesce(f.orders, 0) as facts, coalesce(r.orders, 0) as report
    from (select day, count(*) as orders, sum(revenue) as revenue from sale group by day) as f
    full join (select day, orders, revenue from rollup_day where dimension = 'day') as r on r.day = f.day
    where coalesce(f.orders, 0) <> coalesce(r.orders, 0) or coalesce(f.revenue, 0) <> coalesce(r.revenue, 0)"""


class SqlFacts(Reports):
    """Implements Facts."""

    def __init__(self, database: Database) -> None:
        super().__init__(database.relaxed(A_MOMENT))
        self._database, self._sales = database, SqlSales(database)

    async def sold(self, tx: Transaction, sale: Sale) -> None:
        if not await self._sales.file(tx, sale):
            return
        await self._count(tx, sale.day, model.counts(sale.lines, sale.city, sale.revenue, 1))
        await tx.execute(_BUYER, user_id=sale.user_id, month=sale.day[:7], orders=1)
        await self._pair(tx, sale.lines)

    async def returned(self, tx: Transaction, part: Return) -> None:
        sale = await self._sales.standing(tx, part.order_id)
        if sale:
            await self._count(tx, sale.day, model.counts(part.goods, sale.city, part.refund, -1, orders=0))
            await self._sales.keep(tx, replace(sale, revenue=sale.revenue - part.refund, lines=model.without(sale.lines, part.goods)))

    async def undone(self, tx: Transaction, order_id: str) -> None:
        sale = await self._sales.standing(tx, order_id)
        if sale:
            await self._count(tx, sale.day, model.counts(sale.lines, sale.city, sale.revenue, -1))
            await tx.execute(_BUYER, user_id=sale.user_id, month=sale.day[:7], orders=-1)
            await self._sales.drop(tx, order_id)

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

    async def miscounted(self) -> list[str]:
        wrong = await self._database.all(_MISCOUNTED)
        return [f"on {row['day']} the report says {row['report']} orders, the facts {row['facts']}" for row in wrong]

    async def _count(self, tx: Transaction, day: str, counts: Iterable[model.Count]) -> None:
        rows: list[dict[str, Any]] = [
            {"dimension": c.dimension, "key": c.key or day, "orders": c.orders, "units": c.units, "revenue": c.revenue, "at": day} for c in counts
        ]
        await tx.execute_many(_DAY, rows)
        await tx.execute_many(_MONTH, [{**row, "at": day[:7]} for row in rows if row["dimension"] != "day"])

    async def _pair(self, tx: Transaction, lines: Sequence[OrderLine]) -> None:
        rows = [{"product_id": one, "other_id": other} for one, other in model.pairs(lines)]
        if rows:
            await tx.execute_many(_PAIR, rows)
