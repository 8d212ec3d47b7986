"""Facts in ClickHouse count once: whatever is lost, repeated, late or done by two at a time, its reports are those of the embedded store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers
from torg.contexts.analytics.adapters.clickhouse import Address, ClickHouse
from torg.contexts.analytics.adapters.clickhouse_schema import bring_up_to_date
from torg.contexts.analytics.adapters.clickhouse_sender import Sender
from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.analytics.tests.house import (
    REGISTRY,
    cancel,
    clickhouse_house,
    deps_of,
    everything,
    in_clickhouse,
    line,
    own_database,
    returned,
    rows,
    sell,
    settle,
    sql_house,
)  # fmt: skip
from torg.contexts.order import contracts as oc
from torg.kit.bus import BusConsumer, Consumer
from torg.kit.bus.feed import Batch, Positions
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope, Event, Message, Meta
from torg.kit.module import bound
from torg.kit.sql.migrate import MigrationRefused
from torg.kit.testing import START, TestClock
from torg.kit.values import Money, new_id

pytestmark = pytest.mark.slow
PRODUCTS = "abcde"


@pytest.fixture
async def deps(tmp_path: Path, clickhouse_url: str) -> AsyncIterator[AnalyticsDeps]:
    async with clickhouse_house(tmp_path, TestClock(), clickhouse_url) as made:
        yield made


def facts_of(deps: AnalyticsDeps) -> ClickHouseFacts:
    assert isinstance(deps.facts, ClickHouseFacts)
    return deps.facts


# ---------------------------------------------------------------- a history, told in every way


def confirmed(order_id: str, user: str, city: str, day: int, lines: Sequence[oc.OrderLine]) -> oc.OrderConfirmed:
    total = Money(sum(one.line_total.amount for one in lines) + 30, "USD")
    clock = TestClock()
    clock.advance(days=day)
    return oc.OrderConfirmed(order_id=order_id, user_id=user, lines=tuple(lines), city=city, total=total, placed_at=clock())


@st.composite
def order_events(draw: st.DrawFn, order_id: str) -> list[Event]:
    """What becomes of one order: bought, perhaps given back in part, perhaps undone."""
    categories = st.sampled_from([("food", "bread"), ("food", "milk"), ("toys",), ("food", "food")])
    bought = draw(st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=4, unique=True))
    lines = [line(product, draw(st.integers(1, 3)), draw(st.integers(0, 500)), draw(categories)) for product in bought]
    user, city = draw(st.sampled_from(["u1", "u2", "u3"])), draw(st.sampled_from(["Omsk", "Tver"]))
    events: list[Event] = [confirmed(order_id, user, city, draw(st.integers(0, 70)), lines)]
    for n, one in enumerate(lines):
        if draw(st.integers(0, 3)) == 0:
            events.append(returned(order_id, f"{order_id}-r{n}", line(one.product_id, 1, one.unit_price.amount, one.category_path)))
    if end := draw(st.sampled_from(["", "", "cancelled", "returned"])):
        whole = returned(order_id, f"{order_id}-all", *lines, whole=True)
        events.append(whole if end == "returned" else oc.OrderCancelled(order_id=order_id, user_id=user, reason="x", was_sale=True))
    return events


@st.composite
def histories(draw: st.DrawFn) -> list[Envelope]:
    """Orders' events, each order's in their order, mixed with one another."""
    waiting = [draw(order_events(f"o{n:02}")) for n in range(draw(st.integers(1, 8)))]
    mixed: list[Event] = []
    while waiting:
        chosen = draw(st.sampled_from(waiting))
        mixed.append(chosen.pop(0))
        waiting = [one for one in waiting if one]
    return [envelope(position, event) for position, event in enumerate(mixed, start=1)]


def envelope(position: int, event: Any) -> Envelope:
    return Envelope(position, f"id-{position}", "order", event.order_id, position, event, Meta(), START)


class Script:
    """A feed that hands out batches as they were written down, however often, and then says so."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches, self.over = list(batches), asyncio.Event()

    async def open(self, kinds: Collection[type[Message]], positions: Positions) -> None: ...

    async def take(self, seconds: float | None) -> list[Batch]:
        if not self._batches:
            self.over.set()
            await asyncio.Event().wait()
        return [self._batches.pop(0)]

    def took(self, batch: Batch) -> None: ...
    async def again(self) -> None: ...
    def wake(self) -> None: ...
    def reassigned(self) -> bool:
        return False

    async def lag(self) -> dict[str, int]:
        return {}

    async def close(self) -> None: ...


def made(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


async def tell(deps: AnalyticsDeps, batches: Sequence[Sequence[Envelope]]) -> None:
    """Has the context's consumer take these batches."""
    script = Script([Batch("order", tuple(batch), batch[-1].position) for batch in batches])
    consumer = BusConsumer(Consumer("analytics", bound(handlers.REACTIONS, deps)), deps.store, script, REGISTRY)
    running = asyncio.create_task(consumer.run())
    await asyncio.wait({running, asyncio.create_task(script.over.wait())}, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert script.over.is_set()
    assert not await deps.store.database.all("select * from failed_message")


def cut(history: Sequence[Envelope], chance: random.Random) -> list[Sequence[Envelope]]:
    """Into batches that overlap: rows come again, in other company."""
    batches, at = [], 0
    while at < len(history):
        end = at + chance.randint(1, 5)
        batches.append(history[max(0, at - chance.randint(0, 4)) : end])
        at = end
    return batches


class Failing(ClickHouse):
    """Answers as the real one does, but one call's answer, the n-th, is lost: before or after it took effect."""

    def __init__(self, real: ClickHouse, call: int, after: bool) -> None:
        super().__init__(real._address)
        self._left, self._after, self.calls = call, after, 0

    async def _post(self, body: bytes, seconds: float, **asked: str) -> bytes:
        self.calls += 1
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Unavailable("lost on the way there")
        said = await super()._post(body, seconds, **asked)
        if self._left == 0:
            raise Unavailable("lost on the way back")
        return said


async def send_through(deps: AnalyticsDeps, server: ClickHouse) -> bool:
    """One sender's life with this line to the server; whether it sent everything."""
    sender = Sender(deps.store.database, server, deps.clock)
    try:
        while await sender.send():
            pass
    except Unavailable:
        return False
    finally:
        await server.close()
    return True


@given(history=histories(), seed=st.integers(0, 1 << 30))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
async def test_both_stores_report_the_same_of_the_same_events(history: list[Envelope], seed: int, tmp_path_factory: Any, clickhouse_url: str):
    chance, folder = random.Random(seed), tmp_path_factory.mktemp("facts")
    async with AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(sql_house(made(folder, "sql"), TestClock()))
        remote = await stack.enter_async_context(clickhouse_house(folder, TestClock(), clickhouse_url))
        await tell(embedded, cut(history, chance))
        for batches in (cut(history[: len(history) // 2], chance), cut(history, chance)):
            await tell(remote, batches)
            await send_through(remote, Failing(facts_of(remote).server, chance.randint(1, 30), chance.random() < 0.5))
        for deps in (embedded, remote):
            deps.clock.advance(days=80)  # type: ignore[attr-defined]
        assert await everything(remote, *PRODUCTS) == await everything(embedded, *PRODUCTS)


# ---------------------------------------------------------------- crashes


async def some_facts(deps: AnalyticsDeps, n: str = "") -> None:
    """A bit of everything that is sent."""
    await sell(deps, f"o1{n}", line("a", 2), line("b", 1, 50, ("food", "milk")), delivery=30)
    await sell(deps, f"o2{n}", line("a"), line("c"), user="u2", city="Tver")
    await handlers.on_order_returned(returned(f"o1{n}", f"r1{n}", line("a", 1)), deps)
    await sell(deps, f"o3{n}", line("d"))
    await cancel(deps, f"o3{n}")
    seen = (c.Behaviour(id=f"11111111{n}", kind="view", visitor=f"v1{n}"), c.Behaviour(id=f"22222222{n}", kind="search", visitor="v2", query="milk"))
    await handlers.record_behaviour(c.RecordBehaviour(seen), deps)


async def test_sender_may_be_cut_off_at_every_call_it_makes(tmp_path: Path, clickhouse_url: str):
    """Before a call, or after it took effect and before the sender heard of it; another sender goes on."""
    async with sql_house(made(tmp_path, "sql"), TestClock()) as embedded, clickhouse_house(tmp_path, TestClock(), clickhouse_url) as deps:
        call, survived = 0, False
        while not survived:
            call += 1
            for after in (False, True):
                for each in (embedded, deps):
                    await some_facts(each, f"-{call}-{after}")
                survived = await send_through(deps, Failing(facts_of(deps).server, call, after))
                assert await figures(deps) == await figures(embedded), f"cut off {'after' if after else 'before'} call {call}"
        assert await everything(deps, *"abcd") == await everything(embedded, *"abcd")
    assert call > 10


async def figures(deps: AnalyticsDeps) -> list[object]:
    """Enough to see whether each kind of fact was counted once."""
    await settle(deps)
    since, until = date(2026, 1, 1), date(2027, 1, 1)
    sales = [await deps.facts.report(dimension, since, until, "key", 99) for dimension in ("day", "category", "product")]
    return [*sales, await deps.facts.funnel(since, until), await deps.facts.together("a", 9)]


async def queued(deps: AnalyticsDeps) -> list[dict[str, Any]]:
    found = await deps.store.database.all("select id, fact, lines from fact_queue order by id")
    return [{"id": row["id"], "fact": row["fact"], "lines": row["lines"]} for row in found]


async def put_back(deps: AnalyticsDeps, found: Sequence[Mapping[str, Any]]) -> None:
    """As if they had been sent, but not forgotten."""
    async with deps.transaction() as tx:
        await tx.execute_many("insert into fact_queue (id, fact, lines) values (:id, :fact, :lines)", found)


async def test_facts_that_come_again_after_weeks_and_merges_count_once(deps: AnalyticsDeps):
    await some_facts(deps)
    first = await queued(deps)
    wanted = await everything(deps, *"abcd")
    deps.clock.advance(days=40)  # type: ignore[attr-defined]
    wanted["cohorts"] = await handlers.get_cohorts(c.GetCohorts(), deps)
    for again in (first, first[::-1], first[1::2], first[::2]):
        for table in ("sale_line", "basket", "product_basket", "funnel_visit", "behaviour", "rollup_day_version", "rollup_month_version"):
            await facts_of(deps).server.execute(f"optimize table {table} final")
        await put_back(deps, [row | {"id": new_id()} for row in again])
        assert await everything(deps, *"abcd") == wanted


async def test_behaviour_sent_again_after_days_keeps_its_first_day(deps: AnalyticsDeps):
    batch = c.RecordBehaviour((c.Behaviour(id="11111111", kind="view", visitor="v1"),))
    await handlers.record_behaviour(batch, deps)
    await settle(deps)
    deps.clock.advance(days=3)  # type: ignore[attr-defined]
    await facts_of(deps).sender.forget_repeats()
    assert (await handlers.record_behaviour(batch, deps)).recorded == 1  # nobody remembers here
    await settle(deps)
    funnel = await handlers.get_funnel(c.GetFunnel(), deps)
    assert funnel.items[0].visitors == 1
    assert (await handlers.get_funnel(c.GetFunnel(since="2026-03-02"), deps)).items[0].visitors == 0
    assert len(await facts_of(deps).server.all("select id from behaviour final")) == 1


async def test_nothing_is_sent_of_a_batch_that_was_not_committed(deps: AnalyticsDeps):
    with pytest.raises(Unavailable):
        async with deps.transaction():
            await sell(deps, "o1", line("a"))
            raise Unavailable("the disk is full")
    assert await queued(deps) == []
    await sell(deps, "o1", line("a"))
    assert await rows(deps, "day") == {"2026-03-01": (1, 1, 100)}


# ---------------------------------------------------------------- two at a time


async def test_two_instances_that_write_and_send_at_once_count_everything_once(tmp_path: Path, clickhouse_url: str):
    async with AsyncExitStack() as stack:
        embedded = await stack.enter_async_context(sql_house(made(tmp_path, "sql"), TestClock()))
        one = await stack.enter_async_context(clickhouse_house(tmp_path, TestClock(), clickhouse_url))
        other = deps_of(one.store, in_clickhouse(one.store, facts_of(one).server))

        async def work(deps: AnalyticsDeps, numbers: Sequence[int]) -> None:
            for n in numbers:
                await sell(deps, f"o{n}", line(PRODUCTS[n % 5], n % 3 + 1), line(PRODUCTS[(n + 1) % 5]), user=f"u{n % 7}", city=f"city {n % 3}")
                if n % 4 == 0:
                    await cancel(deps, f"o{n}")
                if n % 5 == 0:
                    await facts_of(deps).sender.send()

        await asyncio.gather(work(one, range(0, 60, 2)), work(other, range(1, 60, 2)))
        await asyncio.gather(settle(one), settle(other))
        for n in range(60):
            await sell(embedded, f"o{n}", line(PRODUCTS[n % 5], n % 3 + 1), line(PRODUCTS[(n + 1) % 5]), user=f"u{n % 7}", city=f"city {n % 3}")
            if n % 4 == 0:
                await cancel(embedded, f"o{n}")
        assert await everything(one, *PRODUCTS) == await everything(embedded, *PRODUCTS)


class Paused(ClickHouse):
    """Waits before it asks what begins so."""

    def __init__(self, real: ClickHouse, at: bytes) -> None:
        super().__init__(real._address)
        self._at, self.reached, self.go_on = at, asyncio.Event(), asyncio.Event()

    async def _post(self, body: bytes, seconds: float, **asked: str) -> bytes:
        if body.startswith(self._at):
            self.reached.set()
            await self.go_on.wait()
        return await super()._post(body, seconds, **asked)


@pytest.mark.parametrize("at", [b"insert into sale_line", b"insert into rollup_day_version", b"insert into rollup_month_version"])
async def test_sender_that_was_stopped_for_a_while_spoils_nothing_when_it_goes_on(deps: AnalyticsDeps, at: bytes):
    await settle(deps)
    await sell(deps, "o1", line("a"))
    slow = Paused(facts_of(deps).server, at)
    stopped = asyncio.create_task(send_through(deps, slow))
    await slow.reached.wait()
    async with deps.transaction() as tx:
        await tx.execute("delete from fact_queue")  # as if somebody else had it in hand, so that only the stopped one sends it
    await sell(deps, "o2", line("a", 2))
    await settle(deps)
    slow.go_on.set()
    assert await stopped
    assert await rows(deps, "day") == {"2026-03-01": (2, 3, 300)}
    report = await handlers.get_sales(c.GetSales(since="2026-03-01", until="2026-04-01", group_by="product"), deps)
    assert [(row.key, row.orders, row.units) for row in report.items] == [("a", 2, 3)]


class Dying(ClickHouse):
    """Is gone when it is to write the month's rollup."""

    async def execute(self, statement: str, **settings: str) -> None:
        if statement.startswith("insert into rollup_month_version"):
            raise Unavailable("gone")
        await super().execute(statement, **settings)


async def test_month_is_right_though_another_sender_wrote_the_day_anew_and_died(deps: AnalyticsDeps):
    await settle(deps)
    await sell(deps, "o1", line("a"))
    slow = Paused(facts_of(deps).server, b"insert into rollup_month_version")
    stopped = asyncio.create_task(send_through(deps, slow))
    await slow.reached.wait()
    assert not await send_through(deps, Dying(facts_of(deps).server._address))
    await facts_of(deps).server.execute("optimize table rollup_day_version final")
    slow.go_on.set()
    assert await stopped
    report = await handlers.get_sales(c.GetSales(since="2026-03-01", until="2026-04-01", group_by="product"), deps)
    assert [(row.key, row.orders) for row in report.items] == [("a", 1)]


class Slow(ClickHouse):
    """Writes the day's rollup three seconds after it has read what is in it: no query may sleep for longer."""

    def __init__(self, real: ClickHouse) -> None:
        super().__init__(real._address)
        self.reached = asyncio.Event()

    async def execute(self, statement: str, **settings: str) -> None:
        if statement.startswith("insert into rollup_day_version"):
            self.reached.set()
            statement += " having sleep(3) = 0"
        await super().execute(statement, **settings)


async def test_rollup_that_read_less_but_was_written_later_does_not_hold(deps: AnalyticsDeps):
    await settle(deps)
    await sell(deps, "o1", line("a"))
    slow = Slow(facts_of(deps).server)
    writing = asyncio.create_task(send_through(deps, slow))
    await slow.reached.wait()
    await asyncio.sleep(0.3)
    await sell(deps, "o2", line("a", 2))
    assert await rows(deps, "day") == {"2026-03-01": (2, 3, 300)}
    assert not writing.done()
    assert await writing
    assert await rows(deps, "day") == {"2026-03-01": (2, 3, 300)}


async def test_store_that_was_put_back_to_an_older_state_counts_nothing_twice(deps: AnalyticsDeps):
    await some_facts(deps)
    wanted = await everything(deps, *"abcd")
    async with deps.transaction() as tx:
        for table in ("sale", "taken_back", "recent_behaviour", "fact_version"):
            await tx.execute(f"delete from {table}")
    again = deps_of(deps.store, in_clickhouse(deps.store, facts_of(deps).server))
    await some_facts(again)
    assert await everything(again, *"abcd") == wanted
    await sell(again, "o9", line("a"))
    assert (await rows(again, "day"))["2026-03-01"][0] == 3


async def test_tables_are_made_once_though_several_start_at_once(clickhouse_url: str):
    async with own_database(clickhouse_url) as server:
        made = await asyncio.gather(*(bring_up_to_date(server, TestClock()) for _ in range(4)))
        assert ["0001_facts.sql"] in made
        assert await bring_up_to_date(server, TestClock()) == []


async def test_tables_of_a_newer_version_or_from_a_changed_file_are_refused(tmp_path: Path, clickhouse_url: str):
    async with own_database(clickhouse_url) as server:
        await bring_up_to_date(server, TestClock())
        with pytest.raises(MigrationRefused, match="newer version of Torg"):
            await bring_up_to_date(server, TestClock(), tmp_path)
        (tmp_path / "0001_facts.sql").write_text("select 1")
        with pytest.raises(MigrationRefused, match="was changed after ClickHouse had it"):
            await bring_up_to_date(server, TestClock(), tmp_path)


# ---------------------------------------------------------------- away, slow, odd


async def test_facts_wait_while_clickhouse_is_away_and_arrive_when_it_is_back(deps: AnalyticsDeps):
    gone = ClickHouse(Address.of("clickhouse://torg:x@127.0.0.1:1/torg"))
    away = deps_of(deps.store, in_clickhouse(deps.store, gone))
    await facts_of(away).start()
    await sell(away, "o1", line("a"))
    await facts_of(away).sender.run()
    assert await facts_of(away).sender.lag() == {"queue": 3}  # the sale, its basket, the step of the funnel
    assert "127.0.0.1:1 does not answer" in await gone.fault()
    with pytest.raises(Unavailable, match="does not answer"):
        await handlers.get_sales(c.GetSales(), away)
    await gone.close()
    assert await rows(deps, "day") == {"2026-03-01": (1, 1, 100)}
    assert await facts_of(deps).server.fault() == ""
    assert (await facts_of(deps).sender.lag(), await facts_of(deps).sender.positions()) == ({"queue": 0}, {"queue": 3})


class Counting(ClickHouse):
    """Knows what it was asked."""

    def __init__(self, real: ClickHouse) -> None:
        super().__init__(real._address)
        self.inserts: list[str] = []

    async def insert(self, table: str, lines: bytes) -> None:
        self.inserts.append(table)
        await super().insert(table, lines)


async def test_facts_that_trickle_in_are_sent_together(deps: AnalyticsDeps):
    await settle(deps)
    counting = Counting(facts_of(deps).server)
    busy = deps_of(deps.store, in_clickhouse(deps.store, counting, gather=0.5))

    async def keep_sending() -> None:
        while True:
            await facts_of(busy).sender.run()

    now = asyncio.get_running_loop().time
    sending, began = asyncio.create_task(keep_sending()), now()
    for n in range(100):
        await sell(busy, f"o{n}", line("a"))
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await counting.close()
    assert 1 <= counting.inserts.count("sale_line") <= (now() - began) / 0.5 + 2
    assert (await rows(deps, "day"))["2026-03-01"][0] == 100


async def test_any_text_arrives_as_it_was(deps: AnalyticsDeps):
    odd = "tab\t quote ' \" back\\slash \\N line\n sep\u2028\x85 ёлка 🎄 {x:String} :name ;"
    await sell(deps, "o'1", line("p'\\1", path=("c\\'at\t",)), user="u\\'1", city=odd)
    await handlers.record_behaviour(c.RecordBehaviour((c.Behaviour(id="i'\\111111", kind="search", visitor="v'", query=odd),)), deps)
    assert list(await rows(deps, "city")) == [odd]
    assert list(await rows(deps, "category")) == ["c\\'at\t"]
    assert [row["query"] for row in await facts_of(deps).server.all("select query from behaviour")] == [odd]
    assert await deps.facts.together("p'\\1", 5) == []


async def test_shop_that_kept_its_facts_in_sql_takes_them_along_once(tmp_path: Path, clickhouse_url: str):
    async with sql_house(tmp_path, TestClock()) as embedded, own_database(clickhouse_url) as server:
        await some_facts(embedded)
        wanted = await everything(embedded, "a", "b", "c")
        for _ in range(2):
            moved = deps_of(embedded.store, in_clickhouse(embedded.store, server))
            await facts_of(moved).start()
            assert await everything(moved, "a", "b", "c") == wanted
        await handlers.on_order_returned(returned("o1", "r2", line("a", 1)), moved)
        assert (await rows(moved, "product"))["a"] == (1, 1, 100)
