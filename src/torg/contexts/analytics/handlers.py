"""What analytics counts and reports. The tables at the bottom are the index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import model
from torg.contexts.analytics.model import Fact, Return, Sale, Undone
from torg.contexts.analytics.ports import AnalyticsDeps, ReportRow
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.order.contracts import OrderCancelled, OrderConfirmed, OrderPlaced, OrderReturned
from torg.contexts.user.contracts import UserErased
from torg.kit.calls import Handlers
from torg.kit.errors import Unavailable
from torg.kit.period import refuse_reversed
from torg.kit.shards import context_of_part
from torg.kit.values import Money, moment, stamp

WHOLE_PAST = date(2000, 1, 1)
SALES = (OrderConfirmed, OrderCancelled, OrderReturned)
SLICE = 500  # rows of a log whose sales are counted anew in one transaction

# ---------------------------------------------------------------- counting


async def on_order_placed(event: OrderPlaced, deps: AnalyticsDeps) -> None:
    async with deps.transaction() as tx:
        await deps.facts.step(tx, "placed", event.user_id, deps.clock())


async def on_order_confirmed(event: OrderConfirmed, deps: AnalyticsDeps) -> None:
    async with deps.transaction() as tx:
        await deps.facts.count(tx, _fact(event))
        await deps.facts.step(tx, "confirmed", event.user_id, deps.clock())


async def on_order_cancelled(event: OrderCancelled, deps: AnalyticsDeps) -> None:
    if event.was_sale:
        async with deps.transaction() as tx:
            await deps.facts.count(tx, _fact(event))


async def on_order_returned(event: OrderReturned, deps: AnalyticsDeps) -> None:
    async with deps.transaction() as tx:
        await deps.facts.count(tx, _fact(event))


async def on_user_erased(event: UserErased, deps: AnalyticsDeps) -> None:
    async with deps.transaction() as tx:
        await deps.facts.forget(tx, event.user_id)


async def record_behaviour(cmd: c.RecordBehaviour, deps: AnalyticsDeps) -> c.Recorded:
    async with deps.transaction() as tx:
        return await tx.answer(c.Recorded(await deps.facts.record(tx, cmd.events, deps.clock())))


# ---------------------------------------------------------------- operators ask


async def rebuild_reports(_: c.RebuildReports, deps: AnalyticsDeps) -> c.ReportsRebuilt:
    began = time.perf_counter()
    found = await deps.facts.recount(_history(deps))
    return c.ReportsRebuilt(found.sales, found.mended, round(time.perf_counter() - began, 3))


async def _history(deps: AnalyticsDeps) -> AsyncIterator[Sequence[Fact]]:
    """All that orders' logs tell of sales. Where each log ends is asked when its turn comes."""
    for part in sorted(name for name in deps.desks if context_of_part(name) == "order"):
        log = deps.desks[part].log
        position, end = 0, await log.head()
        while position < end:
            until = await log.step(position, SLICE, end)
            told = [row.message for row in await log.named(SALES, position, until)]
            yield [_fact(event) for event in told if isinstance(event, SALES) and (not isinstance(event, OrderCancelled) or event.was_sale)]
            position = until
            await asyncio.sleep(0)


# ---------------------------------------------------------------- reports


async def get_sales(query: c.GetSales, deps: AnalyticsDeps) -> c.SalesReport:
    since, until = _period(query.since, query.until, deps)
    if query.group_by in ("day", "week", "month"):
        days = await deps.facts.report("day", since, until, "key", 100_000)
        return c.SalesReport(tuple(_row(row, deps) for row in _by_period(days, query.group_by))[: query.limit])
    rows = await deps.facts.report(query.group_by, since, until, "revenue", query.limit)
    return await _named(rows, query.group_by, deps)


async def get_top_products(query: c.GetTopProducts, deps: AnalyticsDeps) -> c.SalesReport:
    since, until = _period(query.since, query.until, deps)
    return await _named(await deps.facts.report("product", since, until, query.by, query.limit), "product", deps)


async def get_funnel(query: c.GetFunnel, deps: AnalyticsDeps) -> c.Funnel:
    found = await deps.facts.funnel(*_period(query.since, query.until, deps))
    numbers = [found.get(step, 0) for step in c.FUNNEL]
    return c.Funnel(tuple(map(c.FunnelStep, c.FUNNEL, numbers, model.shares(numbers))))


async def get_cohorts(query: c.GetCohorts, deps: AnalyticsDeps) -> c.Cohorts:
    first = (deps.clock().date().replace(day=1) - timedelta(days=31 * (query.months - 1))).isoformat()[:7]
    found = []
    for month, rows in groupby(await deps.facts.cohorts(first), key=lambda row: row[0]):
        active = {model.months_between(month, later): buyers for _, later, buyers in rows}
        found.append(c.Cohort(month, active.get(0, 0), tuple(active.get(n, 0) for n in range(max(active) + 1))))
    return c.Cohorts(tuple(found))


async def get_recommendations(query: c.GetRecommendations, deps: AnalyticsDeps) -> c.Recommendations:
    return c.Recommendations(tuple(await deps.facts.together(query.product_id, query.limit)))


# ---------------------------------------------------------------- small print


def _fact(event: OrderConfirmed | OrderCancelled | OrderReturned) -> Fact:
    match event:
        case OrderConfirmed():
            return Sale(event.order_id, event.user_id, stamp(event.placed_at)[:10], event.city, event.total.amount, event.lines)
        case OrderReturned(whole=False):
            return Return(event.order_id, event.return_id, event.goods, event.refund.amount)
        case _:
            return Undone(event.order_id)


def _period(since: str, until: str, deps: AnalyticsDeps) -> tuple[date, date]:
    """Both as days; from the beginning, and until tomorrow, where they are left out. Raises Invalid when the first is after the second."""
    first = moment(since).date() if since else WHOLE_PAST
    last = moment(until).date() if until else deps.clock().date() + timedelta(days=1)
    refuse_reversed(first, last)
    return first, last


def _by_period(days: Sequence[ReportRow], group_by: str) -> list[ReportRow]:
    def key(row: ReportRow) -> str:
        return {"day": row.key, "week": model.week_of(row.key), "month": row.key[:7]}[group_by]

    return [_sum(period, list(rows)) for period, rows in groupby(days, key=key)]


def _sum(key: str, rows: list[ReportRow]) -> ReportRow:
    return ReportRow(key, sum(r.orders for r in rows), sum(r.units for r in rows), sum(r.revenue for r in rows))


def _row(row: ReportRow, deps: AnalyticsDeps, name: str = "") -> c.SalesRow:
    return c.SalesRow(key=row.key, orders=row.orders, units=row.units, revenue=Money(row.revenue, deps.currency), name=name)


async def _named(rows: Sequence[ReportRow], dimension: str, deps: AnalyticsDeps) -> c.SalesReport:
    """With products' names where the catalogue answers; a report is worth having without them."""
    names: dict[str, str] = {}
    if dimension == "product" and rows:
        try:
            names = {offer.product_id: offer.name for offer in await deps.call(GetOffers(tuple(row.key for row in rows)))}
        except Unavailable:
            names = {}
    return c.SalesReport(tuple(_row(row, deps, names.get(row.key, "")) for row in rows))


HANDLERS: Handlers = {
    c.RecordBehaviour: record_behaviour,
    c.RebuildReports: rebuild_reports,
    c.GetSales: get_sales,
    c.GetTopProducts: get_top_products,
    c.GetFunnel: get_funnel,
    c.GetCohorts: get_cohorts,
    c.GetRecommendations: get_recommendations,
}

REACTIONS: Handlers = {
    OrderPlaced: on_order_placed,
    OrderConfirmed: on_order_confirmed,
    OrderCancelled: on_order_cancelled,
    OrderReturned: on_order_returned,
    UserErased: on_user_erased,
}
