"""Sales are counted anew from the log of orders, over each store of facts, while reports are read and orders go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers
from torg.contexts.analytics.adapters.audit import SalesAudit
from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts
from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.adapters.recount_sql import Portions
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.analytics.routes import routes
from torg.contexts.analytics.tests.house import REGISTRY, clickhouse_house, deps_of, everything, in_clickhouse, line, returned, rows, settle, sql_house
from torg.contexts.analytics.tests.test_exactness import PRODUCTS, confirmed, histories, made
from torg.contexts.order import contracts as oc
from torg.kit.auth import Identity, Role
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import Envelope, Event, Message
from torg.kit.module import bound
from torg.kit.operations import DeskView, ReadLog
from torg.kit.store import Store
from torg.kit.testing import TestClock, faults_of, open_store
from torg.kit.testing.http import Client, edge
from torg.kit.values import new_id


class Orders:
    """The log of orders, and an analytics context that is told of it, as far as the test lets it be."""

    def __init__(self, deps: AnalyticsDeps, log: Store) -> None:
        self.deps, self._log, self._told = replace(deps, desks=desk_of(log.log)), log, 0

    async def log(self, *events: Event) -> None:
        for event in events:
            async with self._log.transaction() as tx:
                await tx.append(getattr(event, "order_id", ""), [event])

    async def tell(self, most: int = 10_000) -> bool:
        """As the bus does, so many rows that were not told yet; whether there were any."""
        rows = (await self._log.log.tail(self._told, most))[:most]
        for row in rows:
            async with self.deps.transaction():
                await bound(handlers.REACTIONS, self.deps)[type(row.message)](row.message)
            self._told = row.position
        return bool(rows)

    async def happen(self, *events: Event) -> None:
        await self.log(*events)
        await self.tell()

    async def rebuild(self, while_reading: Callable[[], Awaitable[None]] | None = None) -> c.ReportsRebuilt:
        """`while_reading` is done before each part of the log is read."""
        return await handlers.rebuild_reports(c.RebuildReports(), replace(self.deps, desks=desk_of(Hooked(self._log.log, while_reading))))


class Hooked:
    """A log that is read two rows at a time, and what is done before each part of it is read."""

    def __init__(self, log: ReadLog, hook: Callable[[], Awaitable[None]] | None) -> None:
        self._log, self._hook = log, hook

    async def head(self) -> int:
        return await self._log.head()

    async def step(self, after: int, rows: int, until: int) -> int:
        return await self._log.step(after, min(rows, 2), until)

    async def named(self, kinds: Collection[type[Message]], after: int, until: int) -> Sequence[Envelope]:
        if self._hook:
            await self._hook()
        return await self._log.named(kinds, after, until)


def desk_of(log: ReadLog) -> Mapping[str, DeskView]:
    return {"order": cast(DeskView, SimpleNamespace(log=log))}


@asynccontextmanager
async def orders_over(deps: AnalyticsDeps, folder: Path) -> AsyncIterator[Orders]:
    async with open_store(folder, "order", deps.clock, REGISTRY) as log:
        yield Orders(deps, log)


@pytest.fixture(params=["sql", pytest.param("clickhouse", marks=pytest.mark.slow)])
async def orders(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Orders]:
    clock = TestClock()
    opened = sql_house(tmp_path, clock) if request.param == "sql" else clickhouse_house(tmp_path, clock, request.getfixturevalue("clickhouse_url"))
    async with opened as deps, orders_over(deps, tmp_path) as made:
        yield made


@pytest.fixture
async def orders_in_sql(tmp_path: Path) -> AsyncIterator[Orders]:
    async with sql_house(tmp_path, TestClock()) as deps, orders_over(deps, tmp_path) as made:
        yield made


def bought(order_id: str, *products: str, day: int = 0, user: str = "u1") -> oc.OrderConfirmed:
    return confirmed(order_id, user, "Omsk", day, [line(product, 2) for product in products])


def undone(order_id: str) -> oc.OrderCancelled:
    return oc.OrderCancelled(order_id=order_id, user_id="u1", reason="x", was_sale=True)


async def some_orders(orders: Orders) -> None:
    await orders.happen(bought("o1", "a", "b"), bought("o2", "a", "c", user="u2"), bought("o3", "d", day=3), bought("o4", "b", day=40))
    await orders.happen(returned("o1", "r1", line("a", 2)), undone("o3"), returned("o4", "r2", line("b", 1)))


async def damage(deps: AnalyticsDeps) -> None:
    """Rows of all tables wrong, missing, or too many."""
    await settle(deps)
    if isinstance(deps.facts, ClickHouseFacts):
        server = deps.facts.server
        await server.execute("alter table sale_line delete where order_id = 'o2'", mutations_sync="1")
        await server.execute("alter table rollup_day_version delete where dimension = 'city'", mutations_sync="1")
        await server.execute(
            "insert into rollup_day_version values ('product', '2026-03-01', 'ghost', 7, 7, 700, 1), ('day', '2026-03-02', '2026-03-02', 1, 1, 1, 1)"
        )
        await server.execute("insert into rollup_month_version select dimension, month, key, 9, 9, 9, version + 100 from rollup_month_version")
    async with deps.transaction() as tx:
        for statement in (
            "delete from sale where order_id = 'o2'",
            "update sale set revenue = 5 where order_id = 'o1'",
            "insert into sale (order_id, user_id, day, city, revenue, lines) values ('ghost', 'u9', '2026-03-01', 'Omsk', 7, '[]')",
            "update rollup_day set orders = orders + 1, revenue = 3 where dimension = 'day'",
            "delete from rollup_day where dimension = 'product' and key = 'a'",
            "insert into rollup_day (dimension, day, key, orders, units, revenue) values ('product', '2026-03-01', 'ghost', 1, 1, 1)",
            "update rollup_month set units = 99",
            "delete from buyer_month where user_id = 'u2'",
            "delete from bought_together where product_id = 'a' and other_id = 'b'",
            "insert into bought_together (product_id, other_id, times) values ('a', 'ghost', 5)",
        ):
            await tx.execute(statement)


async def reports(orders: Orders) -> dict[str, object]:
    """All that is counted anew."""
    return await everything(orders.deps, "a", "b", "c")


async def test_whatever_is_wrong_is_put_right(orders: Orders):
    await some_orders(orders)
    wanted = await reports(orders)
    await damage(orders.deps)
    assert await reports(orders) != wanted
    rebuilt = await orders.rebuild()
    assert rebuilt.sales == 4
    assert rebuilt.mended is None or rebuilt.mended > 5
    assert await reports(orders) == wanted
    assert (await orders.rebuild()).mended in (0, None)
    assert await reports(orders) == wanted


async def test_what_happens_meanwhile_counts_once_whoever_tells_of_it_first(orders: Orders):
    """The log is read further than the consumer has come, and the consumer tells of more while it is read."""
    await some_orders(orders)
    await damage(orders.deps)
    await orders.log(bought("o5", "a"), returned("o5", "r5", line("a", 1)), bought("o7", "e", user="u7"), bought("o6", "e"), undone("o6"))
    late = iter([bought("o8", "c", "d"), returned("o2", "r8", line("c", 1)), undone("o4")])

    async def go_on() -> None:
        if event := next(late, None):
            await orders.log(event)
            await orders.tell(1)

    await orders.rebuild(go_on)
    await orders.log(*late)
    while await orders.tell(1):
        assert (await rows(orders.deps, "product"))["e"] == (1, 2, 200), "of o6, nothing"
    told_once = await reports(orders)
    await orders.rebuild()
    assert await reports(orders) == told_once
    assert await faults_of(SalesAudit(orders.deps.facts).invariants()) == []
    assert (await rows(orders.deps, "product"))["a"] == (2, 3, 300)
    assert await rows(orders.deps, "day") == {"2026-03-01": (5, 12, 1350)}


async def test_the_old_count_is_shown_until_the_new_one_is_complete(orders_in_sql: Orders):
    """ClickHouse puts one day right after the other."""
    await some_orders(orders_in_sql)
    wanted = await reports(orders_in_sql)
    await damage(orders_in_sql.deps)
    before, seen = await reports(orders_in_sql), []

    async def look() -> None:
        seen.append(await reports(orders_in_sql) == before)

    await orders_in_sql.rebuild(look)
    assert seen == [True] * 4
    assert await reports(orders_in_sql) == wanted


@given(
    history=histories(), before=st.integers(0, 20), told_before=st.integers(0, 20), pace=st.lists(st.integers(0, 4), max_size=12),
    store=st.sampled_from(["sql", "sql", "clickhouse"]),
)  # fmt: skip
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@pytest.mark.slow
async def test_any_history_comes_to_the_same_however_it_is_told(
    history: list[Envelope], before: int, told_before: int, pace: list[int], store: str, tmp_path_factory: Any, clickhouse_url: str
):
    folder, clock = tmp_path_factory.mktemp("rebuilt"), TestClock()
    opened = sql_house(made(folder, "own"), clock) if store == "sql" else clickhouse_house(made(folder, "own"), clock, clickhouse_url)
    async with AsyncExitStack() as stack:
        told, deps = await stack.enter_async_context(sql_house(made(folder, "told"), TestClock())), await stack.enter_async_context(opened)
        once, orders = [await stack.enter_async_context(orders_over(each, made(folder, name))) for each, name in ((told, "a"), (deps, "b"))]
        events = [row.message for row in history if isinstance(row.message, Event)]
        await once.happen(*events)
        await orders.log(*events[:before])
        await orders.tell(told_before)
        await damage(deps)
        paces, late = iter(pace), iter(events[before:])

        async def go_on() -> None:
            await orders.log(*islice(late, next(paces, 0)))
            await orders.tell(next(paces, 0))

        await orders.rebuild(go_on)
        await orders.log(*late)
        await orders.tell()
        for each in (told, deps):
            each.clock.advance(days=80)  # type: ignore[attr-defined]
        of_once, of_orders = await everything(told), await everything(deps)
        for found in (of_once, of_orders):
            found.pop("funnel")
        assert of_orders == of_once
        assert set(PRODUCTS) >= {row.key for row in of_orders["product"].items}  # type: ignore[attr-defined]


async def test_more_than_is_taken_over_at_once_is_taken_over_all_the_same(tmp_path: Path):
    async with sql_house(tmp_path, TestClock(), Portions(3, 4)) as deps, orders_over(deps, tmp_path) as orders:
        await some_orders(orders)
        wanted = await reports(orders)
        await damage(deps)
        await orders.rebuild()
        assert await reports(orders) == wanted


async def test_two_rebuilds_in_one_process_wait_for_each_other(orders: Orders):
    await some_orders(orders)
    await damage(orders.deps)
    both = await asyncio.gather(orders.rebuild(), orders.rebuild())
    assert [rebuilt.sales for rebuilt in both] == [4, 4]
    assert await faults_of(SalesAudit(orders.deps.facts).invariants()) == []


async def test_of_two_processes_the_later_one_goes_on(orders: Orders):
    await some_orders(orders)
    wanted = await reports(orders)
    await damage(orders.deps)
    facts = orders.deps.facts
    elsewhere = (
        in_clickhouse(orders.deps.store, facts.server)
        if isinstance(facts, ClickHouseFacts)
        else SqlFacts(orders.deps.store.database, orders.deps.clock, new_id)
    )
    other = Orders(deps_of(orders.deps.store, elsewhere), orders._log)
    interrupted = False

    async def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            await other.rebuild()

    with pytest.raises(ConcurrentChange, match="ask again"):
        await orders.rebuild(interrupt)
    assert await reports(orders) == wanted


async def test_no_journal_is_kept_for_a_rebuild_that_died(orders: Orders):
    await some_orders(orders)

    async def die() -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        await orders.rebuild(die)

    async def kept() -> int:
        count: int = await orders.deps.store.database.value("select count(*) from recount_journal")
        return count

    await orders.happen(bought("o5", "a"))
    assert await kept() == 1
    orders.deps.clock.advance(minutes=11)  # type: ignore[attr-defined]
    await orders.happen(bought("o6", "a"), bought("o7", "a"))
    assert await kept() == 1
    wanted = await reports(orders)
    await damage(orders.deps)
    await orders.rebuild()
    assert (await kept(), await reports(orders)) == (0, wanted)


async def test_orders_that_no_log_knows_are_dropped_with_what_they_brought(orders: Orders):
    """The store and its log were put back to an earlier state, and ClickHouse was not."""
    await some_orders(orders)
    wanted = await reports(orders)
    async with orders.deps.transaction() as tx:
        await orders.deps.facts.count(tx, handlers._fact(bought("lost", "z", "a", day=5)))
    await settle(orders.deps)
    if isinstance(orders.deps.facts, ClickHouseFacts):
        async with orders.deps.transaction() as tx:
            await tx.execute("delete from sale where order_id = 'lost'")
    assert await reports(orders) != wanted
    await orders.rebuild()
    assert await reports(orders) == wanted


async def test_only_an_operator_may_ask_for_it(orders: Orders):
    people = {who: Identity(who, frozenset({role})) for who, role in {"anna": Role.CUSTOMER, "analyst": Role.ANALYST, "admin": Role.ADMIN}.items()}
    client = Client(edge(orders.deps, handlers.HANDLERS, routes(), people))
    answers = [(await client(who, "POST", "/analytics/reports/rebuild")).status for who in ("", *people)]
    assert answers == [401, 403, 403, 200]
    await client.app.close()
