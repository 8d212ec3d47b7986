"""Facts over SQL, with rollups by day and month kept in the commit of each sale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any

import msgspec

from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.model import Count, split_period
from torg.contexts.analytics.ports import ReportRow, Sale
from torg.contexts.order.contracts import OrderLine
from torg.kit.messages import encode
from torg.kit.sql import Database
from torg.kit.store import Transaction
from torg.kit.values import stamp

_lines = msgspec.json.Decoder(tuple[OrderLine, ...]).decode

_ROLLUP = """insert into rollup_{grain} (dimension, {grain}, key, orders, units, revenue)
    values (:dimension, :at, :key, :orders, :units, :revenue)
    on conflict (dimension, {grain}, key) do update set orders = rollup_{grain}.orders + excluded.orders,
        units = rollup_{grain}.units + excluded.units, revenue = rollup_{grain}.revenue + excluded.revenue"""
_DAY, _MONTH = _ROLLUP.format(grain="day"), _ROLLUP.format(grain="month")
_ORDERED = {"orders": "orders desc, key", "units": "units desc, key", "revenue": "revenue desc, key", "key": "key"}
_MISCOUNTED = """select coalesce(f.day, r.day) as day, coalesce(f.orders, 0) as facts, coalesce(r.orders, 0) as report
    from (select day, count(*) as orders, sum(revenue) as revenue from sale group by day) as f
    full join (select day, orders, revenue from rollup_day where dimension = 'day') as r on r.day = f.day
    where coalesce(f.orders, 0) <> coalesce(r.orders, 0) or coalesce(f.revenue, 0) <> coalesce(r.revenue, 0)"""
FUNNEL_STEPS = {"view": "view", "click": "view", "cart": "cart", "checkout": "checkout"}


class SqlFacts:
    """Implements Facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_sale(self, tx: Transaction, sale: Sale) -> None:
        await tx.execute(
            "insert into sale (order_id, user_id, day, city, revenue, lines) values (:order_id, :user_id, :day, :city, :revenue, :lines)",
            order_id=sale.order_id, user_id=sale.user_id, day=sale.day, city=sale.city, revenue=sale.revenue, lines=encode(sale.lines).decode(),
        )  # fmt: skip
        await tx.execute(
            """insert into buyer_month (user_id, month, orders) values (:user_id, :month, 1)
               on conflict (user_id, month) do update set orders = buyer_month.orders + 1""",
            user_id=sale.user_id,
            month=sale.day[:7],
        )

    async def sale(self, tx: Transaction, order_id: str) -> Sale | None:
        row = await tx.one("select * from sale where order_id = :order_id", order_id=order_id)
        return Sale(row["order_id"], row["user_id"], row["day"], row["city"], row["revenue"], _lines(row["lines"])) if row else None

    async def drop_sale(self, tx: Transaction, order_id: str) -> None:
        await tx.execute(
            """update buyer_month set orders = orders - 1 where exists (select 1 from sale where order_id = :order_id
               and sale.user_id = buyer_month.user_id and substr(sale.day, 1, 7) = buyer_month.month)""",
            order_id=order_id,
        )
        await tx.execute("delete from sale where order_id = :order_id", order_id=order_id)

    async def keep_sale(self, tx: Transaction, sale: Sale) -> None:
        await tx.execute(
            "update sale set revenue = :revenue, lines = :lines where order_id = :order_id",
            order_id=sale.order_id,
            revenue=sale.revenue,
            lines=encode(sale.lines).decode(),
        )

    async def count(self, tx: Transaction, day: str, counts: Iterable[Count]) -> None:
        rows: list[dict[str, Any]] = [
            {"dimension": c.dimension, "key": c.key or day, "orders": c.orders, "units": c.units, "revenue": c.revenue, "at": day} for c in counts
        ]
        await tx.execute_many(_DAY, rows)
        await tx.execute_many(_MONTH, [{**row, "at": day[:7]} for row in rows if row["dimension"] != "day"])

    async def pair(self, tx: Transaction, pairs: Iterable[tuple[str, str]]) -> None:
        rows = [{"product_id": one, "other_id": other} for one, other in pairs]
        if rows:
            await tx.execute_many(
                """insert into bought_together (product_id, other_id, times) values (:product_id, :other_id, 1)
                   on conflict (product_id, other_id) do update set times = bought_together.times + 1""",
                rows,
            )

    async def record(self, tx: Transaction, events: Sequence[Behaviour], at: datetime) -> int:
        new = 0
        for event in events:
            filed = await tx.execute(
                """insert into behaviour (id, at, kind, visitor, product_id, query)
                   values (:id, :at, :kind, :visitor, :product_id, :query) on conflict do nothing""",
                **msgspec.structs.asdict(event),
                at=stamp(at),
            )
            if filed and event.kind in FUNNEL_STEPS:
                await self.step(tx, FUNNEL_STEPS[event.kind], event.visitor, at)
            new += filed
        return new

    async def step(self, tx: Transaction, step: str, visitor: str, at: datetime) -> None:
        await tx.execute(
            "insert into funnel_visit (day, step, visitor) values (:day, :step, :visitor) on conflict do nothing",
            day=stamp(at)[:10],
            step=step,
            visitor=visitor,
        )

    async def report(self, dimension: str, since: date, until: date, by: str, limit: int) -> Sequence[ReportRow]:
        months, days = ([], [(since.isoformat(), until.isoformat())]) if dimension == "day" else split_period(since, until)
        ranges: dict[str, str] = {}
        parts: list[str] = []
        for grain, found in (("month", months), ("day", days)):
            for first, after in found:
                name = f"{grain}{len(parts)}"
                ranges |= {f"{name}_a": first, f"{name}_b": after}
                parts.append(
                    f"select key, orders, units, revenue from rollup_{grain} where dimension = :dimension and {grain} >= :{name}_a and {grain} < :{name}_b"
                )
        rows = await self._database.all(
            f"""select key, sum(orders) as orders, sum(units) as units, sum(revenue) as revenue from ({" union all ".join(parts)}) as parts
                group by key having sum(orders) <> 0 or sum(units) <> 0 or sum(revenue) <> 0 order by {_ORDERED[by]} limit :limit""",
            dimension=dimension, limit=limit, **ranges,
        )  # fmt: skip
        return [ReportRow(row["key"], row["orders"], row["units"], row["revenue"]) for row in rows]

    async def funnel(self, since: date, until: date) -> dict[str, int]:
        rows = await self._database.all(
            "select step, count(*) as visitors from funnel_visit where day >= :since and day < :until group by step",
            since=since.isoformat(),
            until=until.isoformat(),
        )
        return {row["step"]: row["visitors"] for row in rows}

    async def together(self, product_id: str, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            "select other_id from bought_together where product_id = :product_id order by times desc, other_id limit :limit",
            product_id=product_id,
            limit=limit,
        )
        return [row["other_id"] for row in rows]

    async def cohorts(self, since_month: str) -> Sequence[tuple[str, str, int]]:
        rows = await self._database.all(
            """select first.month as cohort, later.month as month, count(*) as buyers
               from (select user_id, min(month) as month from buyer_month where orders > 0 group by user_id) as first
               join buyer_month as later on later.user_id = first.user_id and later.orders > 0
               where first.month >= :since group by first.month, later.month order by first.month, later.month""",
            since=since_month,
        )
        return [(row["cohort"], row["month"], row["buyers"]) for row in rows]

    async def miscounted(self) -> list[str]:
        wrong = await self._database.all(_MISCOUNTED)
        return [f"on {row['day']} the report says {row['report']} orders, the facts {row['facts']}" for row in wrong]
