"""Sales are counted once, on their day, and taken back when they are undone: over each store of facts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers, model
from torg.contexts.analytics.adapters.audit import SalesAudit
from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.analytics.tests.house import cancel, clickhouse_house, line, returned, rows, sell, settle, sql_house
from torg.contexts.user.contracts import UserErased
from torg.kit.errors import Invalid
from torg.kit.testing import TestClock, faults_of


@pytest.fixture(params=["sql", pytest.param("clickhouse", marks=pytest.mark.slow)])
async def deps(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnalyticsDeps]:
    clock = TestClock()
    opened = sql_house(tmp_path, clock) if request.param == "sql" else clickhouse_house(tmp_path, clock, request.getfixturevalue("clickhouse_url"))
    async with opened as made:
        yield made


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


async def test_an_order_confirmed_or_cancelled_again_changes_nothing(deps: AnalyticsDeps):
    for _ in range(2):
        await sell(deps, "o1", line("a", 2), line("b"))
    assert await rows(deps, "product") == {"a": (1, 2, 200), "b": (1, 1, 100)}
    for _ in range(2):
        await cancel(deps, "o1")
    await handlers.on_order_returned(returned("o1", "r1", line("a", 1)), deps)
    assert await rows(deps, "product") == await rows(deps, "day") == {}
    assert await faults_of(SalesAudit(deps.facts).invariants()) == []


async def test_an_order_that_was_never_confirmed_changes_nothing_when_cancelled(deps: AnalyticsDeps):
    await cancel(deps, "o1", was_sale=False)
    assert await rows(deps, "day") == {}


async def test_a_partial_return_takes_back_its_share_and_the_rest_takes_the_order(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a", 3), delivery=30)
    await handlers.on_order_returned(returned("o1", "r1", line("a", 1)), deps)
    assert await rows(deps, "product") == {"a": (1, 2, 200)}
    assert await rows(deps, "day") == {"2026-03-01": (1, 2, 230)}
    await handlers.on_order_returned(returned("o1", "r2", line("a", 2), whole=True), deps)
    assert await rows(deps, "day") == {}


async def test_an_order_counts_for_a_product_for_as_long_as_some_of_it_is_with_the_buyer(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a", 2), line("b", 1, 50, ("food", "milk")))
    await handlers.on_order_returned(returned("o1", "r1", line("a", 1)), deps)
    assert await rows(deps, "product") == {"a": (1, 1, 100), "b": (1, 1, 50)}
    await handlers.on_order_returned(returned("o1", "r2", line("a", 1)), deps)
    assert await rows(deps, "product") == {"b": (1, 1, 50)}
    assert await rows(deps, "category") == {"food": (1, 1, 50), "milk": (1, 1, 50)}
    assert await rows(deps, "day") == {"2026-03-01": (1, 1, 50)}
    await handlers.on_order_returned(returned("o1", "r3", line("b", 1, 50, ("food", "milk")), whole=True), deps)
    for grouping in ("day", "month", "city", "product", "category"):
        assert await rows(deps, grouping) == {}


async def test_a_year_is_the_sum_of_its_days(deps: AnalyticsDeps):
    clock = deps.clock
    assert isinstance(clock, TestClock)
    for n in range(40):
        await sell(deps, f"o{n}", line("a"), user=f"u{n % 3}")
        clock.advance(days=9)
    await settle(deps)
    report = await handlers.get_sales(c.GetSales(since="2026-03-05", until="2027-01-15", group_by="product"), deps)
    by_day = await handlers.get_sales(c.GetSales(since="2026-03-05", until="2027-01-15", group_by="day"), deps)
    assert report.items[0].orders == sum(row.orders for row in by_day.items) == 35


async def test_products_bought_together_are_recommended_most_often_first(deps: AnalyticsDeps):
    await sell(deps, "o1", line("a"), line("b"), line("c"))
    await sell(deps, "o2", line("a"), line("c"))
    await settle(deps)
    assert (await handlers.get_recommendations(c.GetRecommendations("a"), deps)).bought_together == ("c", "b")
    assert (await handlers.get_recommendations(c.GetRecommendations("zzz"), deps)).bought_together == ()


async def test_a_batch_sent_twice_counts_once(deps: AnalyticsDeps):
    batch = c.RecordBehaviour((c.Behaviour(id="11111111", kind="view", visitor="v1"), c.Behaviour(id="22222222", kind="cart", visitor="v1")))
    assert (await handlers.record_behaviour(batch, deps)).recorded == 2
    assert (await handlers.record_behaviour(batch, deps)).recorded == 0
    await settle(deps)
    funnel = await handlers.get_funnel(c.GetFunnel(), deps)
    assert [(step.step, step.visitors, step.share) for step in funnel.items][:3] == [("view", 1, None), ("cart", 1, 100), ("checkout", 0, 0)]


async def test_what_an_erased_person_looked_at_is_forgotten_and_counts_stay(deps: AnalyticsDeps):
    seen = c.Behaviour(id="11111111", kind="search", visitor="u1", query="a gift for Ann")
    batch = c.RecordBehaviour((seen, c.Behaviour(id="22222222", kind="view", visitor="u1", product_id="a")))
    await handlers.record_behaviour(batch, deps)
    await sell(deps, "o1", line("a"))
    await handlers.on_user_erased(UserErased("u1"), deps)
    await settle(deps)
    kept = await behaviour(deps)
    assert [(row["id"], row["visitor"], row["product_id"], row["query"]) for row in kept] == [("11111111", "", "", ""), ("22222222", "", "", "")]
    assert (await handlers.record_behaviour(batch, deps)).recorded == 0
    await settle(deps)
    assert [row["query"] for row in await behaviour(deps)] == ["", ""]
    funnel = await handlers.get_funnel(c.GetFunnel(), deps)
    assert [step.visitors for step in funnel.items] == [1, 0, 0, 0, 1]
    assert await rows(deps, "day") == {"2026-03-01": (1, 1, 100)}


async def behaviour(deps: AnalyticsDeps) -> Sequence[Mapping[str, str]]:
    """What is kept, every copy of it."""
    if isinstance(deps.facts, ClickHouseFacts):
        return await deps.facts.server.all("select id, visitor, product_id, query from behaviour order by id")
    return [dict(row) for row in await deps.store.database.all("select id, visitor, product_id, query from behaviour order by id")]


async def test_buyers_who_come_back_show_in_their_cohort(deps: AnalyticsDeps):
    clock = deps.clock
    assert isinstance(clock, TestClock)
    await sell(deps, "o1", line("a"), user="u1")
    await sell(deps, "o2", line("a"), user="u2")
    clock.advance(days=31)
    await sell(deps, "o3", line("a"), user="u1")
    await settle(deps)
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
