"""Sales are counted once, on their day, and taken back when they are undone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers, model
from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.order import contracts as oc
from torg.kit.errors import Invalid
from torg.kit.messages import Registry
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def line(product: str, quantity: int = 1, price: int = 100, path: tuple[str, ...] = ("food", "bread")) -> oc.OrderLine:
    return oc.OrderLine(
        product_id=product, name=product, quantity=quantity, unit_price=Money(price, "USD"), line_total=Money(price * quantity, "USD"), category_path=path
    )


@pytest.fixture
async def deps(tmp_path: Path) -> AsyncIterator[AnalyticsDeps]:
    clock = TestClock()
    async with open_store(tmp_path, "analytics", clock, Registry([oc, c]), MIGRATIONS) as store:
        call = answering({GetOffers: lambda _: ()})
        yield AnalyticsDeps(call=call, clock=clock, new_id=test_ids(), store=store, currency="USD", facts=SqlFacts(store.database))


async def sell(deps: AnalyticsDeps, order_id: str, *lines: oc.OrderLine, user: str = "u1", city: str = "Moscow", delivery: int = 0) -> None:
    total = Money(sum(x.line_total.amount for x in lines) + delivery, "USD")
    await handlers.on_order_confirmed(oc.OrderConfirmed(order_id=order_id, user_id=user, lines=lines, city=city, total=total, placed_at=deps.clock()), deps)


async def cancel(deps: AnalyticsDeps, order_id: str, was_sale: bool = True) -> None:
    await handlers.on_order_cancelled(oc.OrderCancelled(order_id=order_id, user_id="u1", reason="x", was_sale=was_sale), deps)


async def rows(deps: AnalyticsDeps, group_by: c.Grouping) -> dict[str, tuple[int, int, int]]:
    report = await handlers.get_sales(c.GetSales(group_by=group_by), deps)
    return {row.key: (row.orders, row.units, row.revenue.amount) for row in report.items}


async def test_a_sale_shows_in_every_grouping(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a", 2), line("b", 1, 50, ("food", "milk")), delivery=30)
    assert await rows(deps, "day") == {"2026-03-01": (1, 3, 280)}
    assert await rows(deps, "week") == {"2026-02-23": (1, 3, 280)}
    assert await rows(deps, "month") == {"2026-03": (1, 3, 280)}
    assert await rows(deps, "city") == {"Moscow": (1, 3, 280)}
    assert await rows(deps, "product") == {"a": (1, 2, 200), "b": (1, 1, 50)}
    assert await rows(deps, "category") == {"food": (1, 3, 250), "bread": (1, 2, 200), "milk": (1, 1, 50)}


async def test_a_cancelled_sale_leaves_no_trace_in_the_reports(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a", 2))
    await cancel(deps, "o1")
    for grouping in ("day", "city", "product", "category"):
        assert await rows(deps, grouping) == {}
    assert (await handlers.get_cohorts(c.GetCohorts(), deps)).items == ()


async def test_an_order_that_was_never_confirmed_changes_nothing_when_cancelled(deps: AnalyticsDeps):
    await cancel(deps, "o1", was_sale=False)
    assert await rows(deps, "day") == {}


async def test_a_partial_return_takes_back_its_share_and_the_rest_takes_the_order(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a", 3), delivery=30)
    back = oc.OrderReturned(
        order_id="o1", user_id="u1", return_id="r1", lines=(oc.ReturnLine("a", 1),), refund=Money(100, "USD"), whole=False, goods=(line("a", 1),)
    )
    await handlers.on_order_returned(back, deps)
    assert await rows(deps, "product") == {"a": (1, 2, 200)}
    assert await rows(deps, "day") == {"2026-03-01": (1, 2, 230)}
    rest = oc.OrderReturned(
        order_id="o1", user_id="u1", return_id="r2", lines=(oc.ReturnLine("a", 2),), refund=Money(200, "USD"), whole=True, goods=(line("a", 2),)
    )
    await handlers.on_order_returned(rest, deps)
    assert await rows(deps, "day") == {}


async def test_a_year_is_the_sum_of_its_days(deps: AnalyticsDeps):
    clock = deps.clock
    assert isinstance(clock, TestClock)
    for n in range(40):
        await sell(deps, f"o{n}", line("a"), user=f"u{n % 3}")
        clock.advance(days=9)
    report = await handlers.get_sales(c.GetSales(since="2026-03-05", until="2027-01-15", group_by="product"), deps)
    by_day = await handlers.get_sales(c.GetSales(since="2026-03-05", until="2027-01-15", group_by="day"), deps)
    assert report.items[0].orders == sum(row.orders for row in by_day.items) == 35


async def test_products_bought_together_are_recommended_most_often_first(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a"), line("b"), line("c"))
    await sell(deps, "o2", line("a"), line("c"))
    assert (await handlers.get_recommendations(c.GetRecommendations("a"), deps)).bought_together == ("c", "b")
    assert (await handlers.get_recommendations(c.GetRecommendations("zzz"), deps)).bought_together == ()


async def test_a_batch_sent_twice_counts_once(deps: AnalyticsDeps):
    batch = c.RecordBehaviour((c.Behaviour(id="11111111", kind="view", visitor="v1"), c.Behaviour(id="22222222", kind="cart", visitor="v1")))
    assert (await handlers.record_behaviour(batch, deps)).recorded == 2
    assert (await handlers.record_behaviour(batch, deps)).recorded == 0
    funnel = await handlers.get_funnel(c.GetFunnel(), deps)
    assert [(step.step, step.visitors, step.share) for step in funnel.items][:3] == [("view", 1, None), ("cart", 1, 100), ("checkout", 0, 0)]


async def test_buyers_who_come_back_show_in_their_cohort(deps: AnalyticsDeps):
    clock = deps.clock
    assert isinstance(clock, TestClock)
    await sell(deps, "o1", line("a"), user="u1")
    await sell(deps, "o2", line("a"), user="u2")
    clock.advance(days=31)
    await sell(deps, "o3", line("a"), user="u1")
    assert (await handlers.get_cohorts(c.GetCohorts(), deps)).items == (c.Cohort("2026-03", 2, (2, 1)),)


async def test_a_reversed_period_is_refused(deps: AnalyticsDeps):
    with pytest.raises(Invalid, match="after"):
        await handlers.get_sales(c.GetSales(since="2026-03-02", until="2026-03-01"), deps)


@given(st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.dates(date(2024, 1, 1), date(2027, 12, 31)))
def test_months_and_days_cover_a_period_without_overlap(a: date, b: date):
    since, until = min(a, b), max(a, b)
    months, days = model.split_period(since, until)
    covered = [day for first, after in days for day in _days(first, after)]
    covered += [day for first, after in months for day in _days(f"{first}-01", f"{after}-01")]
    assert sorted(covered) == _days(since.isoformat(), until.isoformat())


def _days(first: str, after: str) -> list[str]:
    return [date.fromordinal(n).isoformat() for n in range(date.fromisoformat(first).toordinal(), date.fromisoformat(after).toordinal())]
