"""Reports for analysts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.analytics.contracts import GetFunnel, GetSales, GetTopProducts, SalesRow
from torg.kit.http import Response
from torg.kit.http.forms import read_form
from torg.kit.values import Money

WIDTH, HEIGHT = 720, 160  # of the chart, in its own units
PERIOD = timedelta(days=30)
LONGEST = 400  # days


@dataclass(frozen=True)
class Bar:
    """A day's bar: its place in the chart, and the row behind it."""

    x: float
    y: float
    width: float
    height: float
    row: SalesRow


async def reports(visit: Visit) -> Response:
    today = visit.deps.clock().date()
    asked = {"since": (today - PERIOD + timedelta(days=1)).isoformat(), "until": (today + timedelta(days=1)).isoformat()}
    asked |= {name: visit.query[given] for name, given in (("since", "from"), ("until", "to")) if visit.query.get(given)}
    now = visit.deps.clock()
    sales = (await visit.ask(read_form(GetSales, {**asked, "limit": "1000"}, now))).items
    top = (await visit.ask(read_form(GetTopProducts, {**asked, "limit": "10"}, now))).items
    cities = (await visit.ask(read_form(GetSales, {**asked, "group_by": "city", "limit": "10"}, now))).items
    funnel = (await visit.ask(read_form(GetFunnel, asked, now))).items
    rows = filled(sales, asked["since"], asked["until"], visit.deps.currency)
    return visit.page(
        "reports.html", bars=bars(rows), width=WIDTH, height=HEIGHT, sales=sales[::-1], top=top, cities=cities, funnel=funnel, asked=asked,
        orders=sum(row.orders for row in sales), units=sum(row.units for row in sales),
        revenue=Money(sum(row.revenue.amount for row in sales), visit.deps.currency), most=max((step.visitors for step in funnel), default=0),
    )  # fmt: skip


def filled(sales: Sequence[SalesRow], since: str, until: str, currency: str) -> list[SalesRow]:
    """A row for each day of the period, also those on which nothing was sold; of a very long one, just what there is."""
    known = {row.key: row for row in sales}
    first, last = date.fromisoformat(since[:10]), date.fromisoformat(until[:10])
    if not 0 < (last - first).days <= LONGEST:
        return list(sales)
    days = [(first + timedelta(days=number)).isoformat() for number in range((last - first).days)]
    return [known.get(day) or SalesRow(key=day, orders=0, units=0, revenue=Money(0, currency)) for day in days]


def bars(rows: Sequence[SalesRow]) -> list[Bar]:
    """Bars as high as each day's revenue, the best day as high as the chart."""
    most = max((row.revenue.amount for row in rows), default=0) or 1
    step = WIDTH / max(len(rows), 1)
    heights = [max(row.revenue.amount, 0) / most * HEIGHT for row in rows]
    return [
        Bar(round(number * step, 2), round(HEIGHT - height, 2), round(step * 0.8, 2), round(height, 2), row)
        for number, (row, height) in enumerate(zip(rows, heights, strict=True))
    ]
