"""A log told to a real Kafka: everything, in order, at least once, through the broker's death, the relay's death and its zombie."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_feed import KafkaFeed
from torg.kit.bus.kafka_producer import LARGEST, NotSent
from torg.kit.bus.kafka_wire import Record
from torg.kit.bus.relay import Relay
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope
from torg.kit.store import Store
from torg.kit.testing import open_store
from torg.kit.testing.kafka import connected, feeding, new_context, taken
from torg.kit.testing.waiting import until
from torg.kit.tests.messages import REGISTRY, Put, WasPut
from torg.kit.values import utc_now

pytestmark = pytest.mark.slow


@pytest.fixture
async def kafka(broker: tuple[Place | None, str]) -> AsyncIterator[Kafka]:
    async with connected(broker[1]) as kafka:
        yield kafka


@pytest.fixture
async def store(kafka: Kafka, tmp_path: Path) -> AsyncIterator[Store]:
    """Of a context with a topic of one partition, so that the topic's order is the log's."""
    async with open_store(tmp_path, await new_context(kafka, 1), utc_now, REGISTRY) as store:
        yield store


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[Relay]:
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def append(store: Store, stream: str, *things: int, shelf: str = "s") -> None:
    async with store.transaction() as tx:
        await tx.append(stream, [WasPut(shelf, each) for each in things])


async def arrived(kafka: Kafka, store: Store, count: int) -> list[Envelope]:
    """What the topic holds; so many rows, and what else is there already."""
    async with feeding(kafka, store.context, REGISTRY, [WasPut, Put]) as feed:
        rows = await taken(feed, count)
        while any(lag for lag in (await feed.lag()).values()):
            rows += await taken(feed, 1)
    return rows


def first_times(rows: Sequence[Envelope]) -> list[str]:
    return list(dict.fromkeys(row.id for row in rows))


async def position(store: Store) -> int:
    return await store.database.value("select position from consumer_position where consumer = 'relay'") or 0


async def caught_up(store: Store) -> None:
    async with asyncio.timeout(60):
        while await position(store) < await store.log.head():  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.01)


async def test_every_row_is_told_commands_as_well(kafka: Kafka, store: Store):
    await append(store, "before", 1, 2)
    async with relaying(Relay(store, kafka.producer, REGISTRY)) as relay:
        async with store.transaction() as tx:
            await tx.append("commands", [Put("s", 3)])
        await append(store, "before", 3)
        await caught_up(store)
        assert await relay.check() == ""
        assert await relay.lag() == {store.context: 0}
    rows = await arrived(kafka, store, 4)
    assert [row.id.partition("/")[2] for row in rows] == ["before/1", "before/2", "commands/1", "before/3"]
    assert rows == [row_of(row, each) for row, each in zip(rows, await store.log.tail(0, 10), strict=True)]


def row_of(came: Envelope, logged: Envelope) -> Envelope:
    """The log's row, at the position at which it came."""
    return Envelope(came.position, logged.id, logged.context, logged.stream, logged.version, logged.message, logged.meta, logged.at)


async def test_relay_goes_on_where_it_was_acknowledged(kafka: Kafka, store: Store):
    for n in range(3):
        await append(store, "s", n)
        async with relaying(Relay(store, kafka.producer, REGISTRY)):
            await caught_up(store)
    assert [row.version for row in await arrived(kafka, store, 3)] == [1, 2, 3]


async def test_position_is_filed_only_when_kafka_has_acknowledged(store: Store):
    class Away:
        """Has taken the first record of two, and nobody knows about the second."""

        async def send(self, records: list[Record]) -> None:
            raise NotSent("no broker answers", sent=1)

    await append(store, "s", 1, 2)
    relay = Relay(store, Away(), REGISTRY)
    async with relaying(relay):
        async with asyncio.timeout(60):
            while not await position(store):  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert await position(store) == 1
        assert await relay.lag() == {store.context: 1}
        assert await relay.check() == ""


async def test_row_that_is_too_large_stops_the_relay_and_is_not_skipped(kafka: Kafka, store: Store):
    await append(store, "s", 1)
    await append(store, "s", 2, shelf=secrets.token_hex(LARGEST // 2))
    await append(store, "t", 3)
    relay = Relay(store, kafka.producer, REGISTRY)
    async with relaying(relay):
        await until(lambda: bool(relay._stuck))
        assert "Message size too large" in await relay.check()
        assert await position(store) == 1
    assert [row.id.partition("/")[2] for row in await arrived(kafka, store, 1)] == ["s/1"]


async def test_zombie_relay_repeats_rows_but_changes_no_order(kafka: Kafka, store: Store):
    """Both believe that they are alone: in one process a lease is always granted."""
    async with relaying(Relay(store, kafka.producer, REGISTRY)), relaying(Relay(store, kafka.producer, REGISTRY)):
        for n in range(30):
            await append(store, f"s{n % 3}", n)
            await asyncio.sleep(0.005)
        await caught_up(store)
    rows = await arrived(kafka, store, 30)
    logged = [row.id for row in await store.log.tail(0, 100)]
    for stream in ("s0", "s1", "s2"):
        assert [id for id in first_times(rows) if f"/{stream}/" in id] == [id for id in logged if f"/{stream}/" in id]


class Paused:
    """A producer of a relay that stands still again and again with rows in its hand: its process was stopped, or its machine swapped."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka, self.standing, self.goes_on = kafka, asyncio.Event(), asyncio.Event()

    async def send(self, records: list[Record]) -> None:
        self.standing.set()
        await self.goes_on.wait()
        self.goes_on.clear()
        await self._kafka.producer.send(records)


async def test_paused_relay_that_goes_on_beside_its_successor_changes_no_order_and_no_position(kafka: Kafka, store: Store):
    await append(store, "s", 1, 2, 3)
    paused = Paused(kafka)
    async with relaying(Relay(store, paused, REGISTRY)):
        await paused.standing.wait()
        async with relaying(Relay(store, kafka.producer, REGISTRY)):
            await append(store, "s", 4, 5, 6)
            await caught_up(store)
            reached = await position(store)
        paused.standing.clear()
        paused.goes_on.set()
        await paused.standing.wait()  # with the rows behind those that it has sent
        assert await position(store) == reached
    assert [row.version for row in await arrived(kafka, store, 9)] == [1, 2, 3, 4, 5, 6, 1, 2, 3]


async def test_dead_broker_costs_no_row_and_no_order(broker: tuple[Place | None, str], kafka: Kafka, store: Store):
    place = broker[0]
    if place is None:
        pytest.skip("somebody else's broker is not ours to kill")
    engine = named("kafka")
    relay = Relay(store, kafka.producer, REGISTRY)
    async with relaying(relay), feeding(kafka, store.context, REGISTRY, [WasPut], instance="one") as feed:
        enough, rows = asyncio.Event(), list[Envelope]()
        writing = asyncio.create_task(write(store, enough))
        while len(rows) < 20:
            await take_more(feed, rows)
        started = run.running(place)
        assert started
        os.kill(started.pid, signal.SIGKILL)
        assert await asyncio.to_thread(processes.gone, started.pid, started.mark, 60)
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable, match="no broker of"):
                while True:
                    await take_more(feed, rows)
        await asyncio.to_thread(run.start, engine, place, print)
        await until(lambda: holds(store, 100))
        enough.set()
        await writing  # not cancelled: a commit under way would land behind the head that is read next
        head = await store.log.head()
        async with asyncio.timeout(120):
            while len(first_times(rows)) < head:
                try:
                    await take_more(feed, rows)
                except Unavailable:
                    await asyncio.sleep(0.1)
        assert first_times(rows) == [row.id for row in await store.log.tail(0, head)]
        assert await relay.check() == ""


async def take_more(feed: KafkaFeed, rows: list[Envelope]) -> None:
    """What came before the broker was away is not lost with the refusal."""
    for batch in await feed.take(0.5):
        rows += batch.rows
        feed.took(batch)


async def holds(store: Store, many: int) -> bool:
    return await store.log.head() > many


async def write(store: Store, enough: asyncio.Event) -> None:
    n = 0
    while not enough.is_set():
        await append(store, f"s{n % 5}", n)
        await asyncio.sleep(0.02)
        n += 1
