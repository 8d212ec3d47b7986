"""Several instances of a consumer on a real Kafka: rebalances in mid-batch, rolling restarts, long handling, and a bound for what waits in memory."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from torg.engines.port import Place
from torg.kit.bus import BusConsumer, Consumer
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_feed import KafkaFeed
from torg.kit.errors import Unavailable
from torg.kit.store import Store
from torg.kit.testing import open_store
from torg.kit.testing.kafka import connected, feeding, new_context, row, send, taken
from torg.kit.testing.waiting import SETTLE, until
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import utc_now

pytestmark = pytest.mark.slow
IMPATIENT = "?session.timeout.ms=1500&heartbeat.interval.ms=300&max.poll.interval.ms=1500"
SILENT = 4.0  # seconds that a member may be
WATCHED = f"?session.timeout.ms={SILENT * 1000:.0f}&heartbeat.interval.ms=300&max.poll.interval.ms={SILENT * 1000:.0f}"
LONG = "?session.timeout.ms=60000&heartbeat.interval.ms=200"
"""A session that takes longer than any of what must not wait for its end."""
SOON = 40.0  # seconds, on however busy a machine
Handler = Callable[[WasPut], Awaitable[None]]


@pytest.fixture
async def kafka(broker: tuple[Place | None, str]) -> AsyncIterator[Kafka]:
    async with connected(f"{broker[1]}?heartbeat.interval.ms=200") as kafka:  # who beats more often hears of the others sooner
        yield kafka


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "reader", utc_now, REGISTRY) as store:
        async with store.transaction() as tx:
            await tx.execute("create table seen (shelf text, things integer, by_whom text)")
        yield store


class Instances:
    """Instances of one consumer, all on one store, as processes of a fleet are."""

    def __init__(self, kafka: Kafka, context: str, reader: Store) -> None:
        self.kafka, self.context, self.reader = kafka, context, reader
        self.name = f"reader-{secrets.token_hex(4)}"
        self.handling: Callable[[str], Awaitable[None]] = lambda _: asyncio.sleep(0)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, who: str, instance: str = "") -> KafkaFeed:
        feed = KafkaFeed(self.kafka, self.name, [self.context], REGISTRY, instance)
        consumer = BusConsumer(Consumer(self.name, {WasPut: self._handler(who)}), self.reader, feed, REGISTRY)
        self._tasks[who] = asyncio.create_task(consumer.run())
        return feed

    async def end(self, who: str) -> None:
        task = self._tasks.pop(who)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def end_all(self) -> None:
        for who in list(self._tasks):
            await self.end(who)

    def _handler(self, who: str) -> Handler:
        async def handle(event: WasPut) -> None:
            async with self.reader.transaction() as tx:
                await tx.execute("insert into seen values (:shelf, :things, :who)", shelf=event.shelf, things=event.things, who=who)
            await self.handling(who)

        return handle

    async def seen(self, count: int, seconds: float = SETTLE) -> list[tuple[str, int, str]]:
        """Waits until that much was seen, and a little for what should not come."""

        async def enough() -> bool:
            return bool(await self.reader.database.value("select count(*) from seen") >= count)

        await until(enough, f"{count} rows are seen", seconds)
        await asyncio.sleep(0.1)
        return [(row[0], row[1], row[2]) for row in await self.reader.database.all("select shelf, things, by_whom from seen order by rowid")]


@asynccontextmanager
async def instances(kafka: Kafka, context: str, reader: Store) -> AsyncIterator[Instances]:
    them = Instances(kafka, context, reader)
    try:
        yield them
    finally:
        await them.end_all()


def each_once_and_in_order(seen: list[tuple[str, int, str]], streams: int, versions: int) -> None:
    assert Counter((shelf, things) for shelf, things, _ in seen) == {(f"s{s}", v): 1 for s in range(streams) for v in range(1, versions + 1)}
    for stream in range(streams):
        assert [things for shelf, things, _ in seen if shelf == f"s{stream}"] == list(range(1, versions + 1))


async def has_a_part(feed: KafkaFeed) -> bool:
    """Whether the group has told it which partitions are its own."""
    return any("/" in source for source in await feed.lag())


def rows(context: str, streams: int, first: int, last: int) -> list[Any]:
    return [row(context, f"s{s}", v, WasPut(f"s{s}", v)) for v in range(first, last + 1) for s in range(streams)]


async def test_rebalance_in_the_middle_of_a_batch_loses_nothing_and_does_nothing_twice(kafka: Kafka, reader: Store):
    context = await new_context(kafka, 4)
    await send(kafka, rows(context, 12, 1, 20))
    async with instances(kafka, context, reader) as them:
        in_the_middle, go_on = asyncio.Event(), asyncio.Event()

        async def stand_still(who: str) -> None:
            if who == "first":
                in_the_middle.set()
                await go_on.wait()

        them.handling = stand_still
        them.begin("first")
        await asyncio.wait_for(in_the_middle.wait(), SETTLE)
        second = them.begin("second")
        await asyncio.sleep(1)  # the group wants the first to give partitions away
        go_on.set()
        each_once_and_in_order(await them.seen(240), 12, 20)
        await until(lambda: has_a_part(second))
        await send(kafka, rows(context, 12, 21, 30))
        seen = await them.seen(360)
        each_once_and_in_order(seen, 12, 30)
        assert {who for *_, who in seen} == {"first", "second"}


async def test_member_that_is_cut_off_in_the_middle_of_a_batch_has_no_second_effect(kafka: Kafka, reader: Store):
    """The other one has the partition, and its rows, before the effects of the first are committed."""
    context, stored = await new_context(kafka, 1), dict[str, int]()
    await send(kafka, rows(context, 3, 1, 10))
    async with instances(kafka, context, reader) as them:
        async with feeding(kafka, context, REGISTRY, [WasPut], stored, them.name) as zombie:
            [batch] = await zombie.take(60)
        them.begin("second")
        await them.seen(len(batch.rows))
        stale = BusConsumer(Consumer(them.name, {WasPut: them._handler("zombie")}), reader, zombie, REGISTRY)
        await stale._take([batch])
        each_once_and_in_order(await them.seen(30), 3, 10)


async def test_partition_that_went_away_is_left_alone(broker: tuple[Place | None, str]):
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(connected(broker[1] + WATCHED))
        context, name = await new_context(kafka, 2), f"reader-{secrets.token_hex(4)}"
        await send(kafka, rows(context, 8, 1, 100))
        first = await stack.enter_async_context(feeding(kafka, context, REGISTRY, [WasPut], {}, name))
        await first.take(60)
        async with feeding(kafka, context, REGISTRY, [WasPut], {}, name) as second:
            while not second.reassigned():  # the first handles for long, and has more in memory
                await second.take(0.1)
            [mine] = await first.lag()
            assert {batch.source for batch in await first.take(60)} == {mine}


async def test_partition_that_comes_back_further_on_has_no_gap(kafka: Kafka):
    context, stored, name = await new_context(kafka, 2), dict[str, int](), f"reader-{secrets.token_hex(4)}"
    await send(kafka, rows(context, 8, 1, 5))
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, name) as first:
        await taken(first, 40, stored)
        async with feeding(kafka, context, REGISTRY, [WasPut], stored, name) as second:
            while not second.reassigned():
                await asyncio.gather(first.take(0.1), second.take(0.1))
            await send(kafka, rows(context, 8, 6, 6))
            came = list[Any]()
            async with asyncio.timeout(SETTLE):
                while len(came) < 8:
                    came += [each for some in await asyncio.gather(taken(first, 8, stored, 1), taken(second, 8, stored, 1)) for each in some]
            assert len(came) == 8
        await send(kafka, rows(context, 8, 7, 7))
        assert {each.version for each in await taken(first, 8, stored)} == {7}


async def test_new_group_protocol_serves_as_well(broker: tuple[Place | None, str]):
    async with connected(f"{broker[1]}?group.protocol=consumer") as kafka:
        context, stored = await new_context(kafka, 2), dict[str, int]()
        await send(kafka, rows(context, 4, 1, 5))
        async with feeding(kafka, context, REGISTRY, [WasPut], stored) as feed:
            assert len(await taken(feed, 20, stored)) == 20
            assert set(await feed.lag()) == {f"{context}/0", f"{context}/1"}


async def test_rolling_restart_under_load_loses_nothing_and_does_nothing_twice(kafka: Kafka, reader: Store):
    context = await new_context(kafka, 4)
    async with instances(kafka, context, reader) as them:
        them.begin("first")
        them.begin("second")

        async def load() -> None:
            for version in range(1, 61):
                await send(kafka, rows(context, 12, version, version))
                await asyncio.sleep(0.05)

        loading = asyncio.create_task(load())
        for who in ("first", "second"):
            await asyncio.sleep(1)
            await them.end(who)
            await asyncio.sleep(0.2)
            them.begin(who)
        await loading
        each_once_and_in_order(await them.seen(12 * 60), 12, 60)


async def test_killed_instance_with_a_name_gets_its_partitions_back_at_once(broker: tuple[Place | None, str]):
    async with connected(broker[1] + LONG) as kafka:
        context, stored, name = await new_context(kafka, 2), dict[str, int](), f"killed-{secrets.token_hex(4)}"
        await send(kafka, rows(context, 4, 1, 5))
        killed = KafkaFeed(kafka, name, [context], REGISTRY, "one")

        async def positions() -> dict[str, int]:
            return stored

        await killed.open([WasPut], positions)
        assert len(await taken(killed, 20, stored)) == 20
        await send(kafka, rows(context, 4, 6, 6))
        async with asyncio.timeout(SOON), feeding(kafka, context, REGISTRY, [WasPut], stored, name, "one") as feed:
            assert len(await taken(feed, 4, stored)) == 4
            with pytest.raises(Unavailable, match=f"refuses this member of {name}"):
                while True:
                    await killed.take(0.1)
        await killed.close()


async def test_long_handling_does_not_cost_the_membership(broker: tuple[Place | None, str], reader: Store):
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(connected(broker[1] + WATCHED))
        context, stored, name = await new_context(kafka, 2), dict[str, int](), f"reader-{secrets.token_hex(4)}"
        await send(kafka, rows(context, 4, 1, 1))
        feed = await stack.enter_async_context(feeding(kafka, context, REGISTRY, [WasPut], stored, name))
        [*batches] = await feed.take(60)
        assert feed.reassigned()
        await asyncio.sleep(SILENT + 1)  # longer than a member may be silent
        for batch in batches:
            stored[batch.source] = batch.position
            feed.took(batch)
        left = 4 - sum(len(batch.rows) for batch in batches)
        assert len(await taken(feed, left, stored)) == left
        await send(kafka, rows(context, 4, 2, 2))
        assert {each.version for each in await taken(feed, 4, stored)} == {2}
        assert not feed.reassigned()


async def test_member_that_was_thrown_out_joins_again(broker: tuple[Place | None, str]):
    async with AsyncExitStack() as stack:
        kafka = await stack.enter_async_context(connected(broker[1] + IMPATIENT))
        context, stored = await new_context(kafka, 1), dict[str, int]()
        await send(kafka, rows(context, 1, 1, 3))
        feed = await stack.enter_async_context(feeding(kafka, context, REGISTRY, [WasPut], stored))
        [batch] = await feed.take(60)
        assert feed.reassigned()
        time.sleep(4)  # noqa: ASYNC251 a handler that never lets go of the loop
        stored[batch.source] = batch.position
        feed.took(batch)
        await send(kafka, rows(context, 1, 4, 6))
        assert [each.version for each in await taken(feed, 6 - len(batch.rows), stored)] == list(range(len(batch.rows) + 1, 7))
        assert feed.reassigned()


async def test_what_waits_in_memory_is_bounded_while_a_batch_is_handled(broker: tuple[Place | None, str]):
    """20 MB wait in the topic; the client holds 4 MB and what one more fetch brings."""
    async with connected(broker[1]) as kafka:
        held: list[int] = []

        def look(told: str) -> None:
            partitions = [p for t in json.loads(told)["topics"].values() for p in t["partitions"].values()]
            held.append(max((p["fetchq_size"] for p in partitions), default=0))  # not the sum: they share a queue

        kafka.more["statistics.interval.ms"], kafka.more["stats_cb"] = 100, look
        context = await new_context(kafka, 2)
        large = secrets.token_hex(5_000)
        for _ in range(4):
            await send(kafka, [row(context, f"s{secrets.token_hex(4)}", 1, WasPut(large, n)) for n in range(500)])
        async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
            batches = await feed.take(60)
            await asyncio.sleep(1)
            for batch in batches:
                feed.took(batch)
            left = 2000 - sum(len(batch.rows) for batch in batches)
            assert len(await taken(feed, left)) == left
        assert 0 < max(held) < 7_000_000


async def test_instance_that_ends_in_order_leaves_its_partitions_to_its_successor_at_once(broker: tuple[Place | None, str], reader: Store):
    """Each has a name, so that a crash costs nothing; but the successor has another one, and nobody comes back for what the old one had."""
    async with connected(broker[1] + LONG) as kafka:
        context = await new_context(kafka, 4)
        async with instances(kafka, context, reader) as them:
            them.begin("old", "reader.0")
            await send(kafka, rows(context, 8, 1, 1))
            await them.seen(8)
            new = them.begin("new", "reader.1")
            await until(lambda: has_a_part(new))  # they share the partitions now
            await them.end("old")
            await send(kafka, rows(context, 8, 2, 2))
            each_once_and_in_order(await them.seen(16, SOON), 8, 2)
