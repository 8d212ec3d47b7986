"""The reports, as statements that every store of facts answers: SQLite, PostgreSQL and ClickHouse.

Each has the relations they name (`rollup_day`, `rollup_month`, `funnel_day`, `bought_together`, `buyer_month`), as tables or as views. What the engines take
differently is kept out: text compares with days, sums are cast (PostgreSQL's would be decimals), and no alias hides a column that an aggregate reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, Protocol

from torg.contexts.analytics.model import split_period
from torg.contexts.analytics.ports import ReportRow

_ORDERED: Final = {"orders": "orders desc, key", "units": "units desc, key", "revenue": "revenue desc, key", "key": "key"}
_PART: Final = """select key, orders as o, units as u, revenue as r from rollup_{grain}
    where dimension = :dimension and {grain} >= :{grain}{n}_a and {grain} < :{grain}{n}_b"""
_REPORT: Final = """select key, cast(sum(o) as bigint) as orders, cast(sum(u) as bigint) as units, cast(sum(r) as bigint) as revenue from ({parts}) as parts
    group by key having sum(o) <> 0 or sum(u) <> 0 or sum(r) <> 0 order by {order} limit :limit"""
_FUNNEL: Final = """select step, cast(sum(visitors) as bigint) as total from funnel_day where day >= :since and day < :until group by step"""
_TOGETHER: Final = "select other_id from bought_together where product_id = :product_id order by times desc, other_id limit :limit"
_COHORTS: Final = """select first.month as cohort, later.month as active, count(*) as buyers
    from (select user_id, min(month) as month from buyer_month where orders > 0 group by user_id) as first
    join (select user_id, month from buyer_month where orders > 0) as later on later.user_id = first.user_id
    where first.month >= :since group by first.month, later.month order by first.month, later.month"""


class Answers(Protocol):
    """What the statements are put to: rows by column name, :named parameters."""

    async def all(self, statement: str, **parameters: Any) -> Sequence[Any]: ...


class Reports:
    """The reading half of Facts."""

    def __init__(self, store: Answers) -> None:
        self._store = store

    async def report(self, dimension: str, since: date, until: date, by: str, limit: int) -> Sequence[ReportRow]:
        months, days = ([], [(since.isoformat(), until.isoformat())]) if dimension == "day" else split_period(since, until)
        parts, ranges = _ranges("month", months), _ranges("day", days)
        statement = _REPORT.format(parts=" union all ".join([*parts, *ranges]), order=_ORDERED[by])
        rows = await self._store.all(statement, dimension=dimension, limit=limit, **_bounds("month", months), **_bounds("day", days))
        return [ReportRow(row["key"], row["orders"], row["units"], row["revenue"]) for row in rows]

    async def funnel(self, since: date, until: date) -> dict[str, int]:
        rows = await self._store.all(_FUNNEL, since=since.isoformat(), until=until.isoformat())
        return {row["step"]: row["total"] for row in rows}

    async def together(self, product_id: str, limit: int) -> Sequence[str]:
        return [row["other_id"] for row in await self._store.all(_TOGETHER, product_id=product_id, limit=limit)]

    async def cohorts(self, since_month: str) -> Sequence[tuple[str, str, int]]:
        return [(row["cohort"], row["active"], row["buyers"]) for row in await self._store.all(_COHORTS, since=since_month)]


def _ranges(grain: str, found: Sequence[tuple[str, str]]) -> list[str]:
    return [_PART.format(grain=grain, n=n) for n in range(len(found))]


def _bounds(grain: str, found: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    return {f"{grain}{n}_{end}": day for n, pair in enumerate(found) for end, day in zip("ab", pair, strict=True)}
