"""The log and the bus over it: contiguous versions, in order, each row in effect once, a poisonous one alone in the dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from pathlib import Path

import pytest

from torg.kit.bus import BusConsumer, Consumer, Failures, LogFeed
from torg.kit.calls import LocalCalls, undisturbed
from torg.kit.errors import ConcurrentChange, Unavailable
from torg.kit.log import Log
from torg.kit.messages import Envelope, Meta
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store
from torg.kit.testing.waiting import until
from torg.kit.tests.messages import REGISTRY, Count, WasPut
from torg.kit.values import utc_now

Handler = Callable[[WasPut], Awaitable[None]]


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as store:
        yield store


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "reader", utc_now, REGISTRY) as store:
        async with store.transaction() as tx:
            await tx.execute("create table seen (shelf text, things integer)")
        yield store


async def put(store: Store, shelf: str, things: int) -> None:
    async def append() -> None:
        async with store.transaction() as tx:
            await tx.append(shelf, [WasPut(shelf, things)])

    await undisturbed(append, "put", store.database.lane)


def note(reader: Store) -> Handler:
    async def handle(event: WasPut) -> None:
        async with reader.transaction() as tx:
            await tx.execute("insert into seen values (:shelf, :things)", shelf=event.shelf, things=event.things)

    return handle


@asynccontextmanager
async def consuming(reader: Store, shelf: Store, handler: Handler, loopback: bool = False) -> AsyncIterator[BusConsumer]:
    consumer = BusConsumer(Consumer("reader", {WasPut: handler}), reader, LogFeed({"shelf": shelf.log}), REGISTRY, loopback)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_log_whose_end_is_known_is_read_on_from_there(shelf: Store) -> None:
    await put(shelf, "a", 1)
    again = Log("shelf", shelf.database, REGISTRY)  # as after a start: nothing is in its memory

    async def positions(after: int) -> list[int]:
        return [row.position for row in await again.tail(after, 10)]

    assert [await positions(after) for after in (7, 1, 0, 1)] == [[], [], [1], []]
    again.publish([Envelope(2, "shelf/a/2", "shelf", "a", 2, WasPut("a", 2), Meta(), utc_now())])
    assert [await positions(after) for after in (2, 1, 7)] == [[], [2], []]


async def seen(reader: Store, count: int) -> list[tuple[str, int]]:
    """Waits until that much was seen, and a little for what should not come."""

    async def enough() -> bool:
        return bool(await reader.database.value("select count(*) from seen") >= count)

    await until(enough, f"{count} rows are seen")
    await asyncio.sleep(0.02)
    return [(row["shelf"], row["things"]) for row in await reader.database.all("select * from seen")]


async def test_versions_are_contiguous_within_a_stream(shelf: Store):
    await asyncio.gather(*(put(shelf, f"s{n % 3}", n) for n in range(30)))
    for stream in ("s0", "s1", "s2"):
        assert [row.version for row in await shelf.log.stream(stream)] == list(range(1, 11))


async def test_an_append_behind_another_version_is_refused(shelf: Store):
    await put(shelf, "s", 1)
    with pytest.raises(ConcurrentChange, match="version 1, not 0"):
        async with shelf.transaction() as tx:
            await tx.append("s", [WasPut("s", 2)], expected=0)
    assert len(await shelf.log.stream("s")) == 1


async def test_a_transaction_sees_its_own_rows_before_others_do(shelf: Store):
    async with shelf.transaction() as tx:
        await tx.append("s", [WasPut("s", 1)])
        assert len(await tx.stream("s")) == 1
        assert await asyncio.create_task(shelf.log.stream("s"), context=Context()) == []
        with pytest.raises(RuntimeError, match="outside the transaction"):
            await shelf.log.stream("s")


async def test_the_tail_is_the_same_from_memory_and_from_the_table(shelf: Store):
    await asyncio.gather(*(put(shelf, f"s{n}", n) for n in range(50)))
    from_memory = list(await shelf.log.tail(10, 20))
    shelf.log._recent.clear()
    assert list(await shelf.log.tail(10, 20)) == from_memory
    assert [row.position for row in from_memory] == list(range(11, 31))


async def test_a_consumer_handles_each_row_once_and_in_order(shelf: Store, reader: Store):
    async with consuming(reader, shelf, note(reader)):
        await asyncio.gather(*(put(shelf, "s", n) for n in range(100)))
        assert await seen(reader, 100) == [("s", n) for n in range(100)]


async def test_a_newer_versions_messages_are_passed_by_and_handed_on_whole(shelf: Store, reader: Store):
    await put(shelf, "s", 1)
    async with shelf.transaction() as tx:
        await tx.execute("update log set name = 'shelf.was_blessed', data = :data", data='{"by":"a newer version"}')
    await put(shelf, "s", 2)
    async with shelf.transaction() as tx:
        await tx.execute("update log set data = :data where version = 2", data='{"shelf":"s","things":2,"since":"a newer version"}')
    shelf.log._recent.clear()
    async with consuming(reader, shelf, note(reader)):
        assert await seen(reader, 1) == [("s", 2)]
    assert [row.told() for row in await shelf.log.undecoded(0, 10)] == [
        ("shelf.was_blessed", 1, b'{"by":"a newer version"}'),
        ("shelf.was_put", 1, b'{"shelf":"s","things":2,"since":"a newer version"}'),
    ]


async def test_a_log_that_cannot_be_read_holds_up_no_other(shelf: Store, reader: Store, tmp_path: Path):
    async with open_store(tmp_path, "cellar", utc_now, REGISTRY) as cellar:
        consumer = BusConsumer(Consumer("reader", {WasPut: note(reader)}), reader, LogFeed({"cellar": cellar.log, "shelf": shelf.log}), REGISTRY)
        await put(cellar, "c", 1)
        cellar.log._recent.clear()
        read, there = cellar.log.tail, asyncio.Event()

        async def tail(after: int, limit: int) -> Sequence[Envelope]:
            if not there.is_set():
                raise Unavailable("the disk has died")
            return await read(after, limit)

        cellar.log.tail = tail  # type: ignore[method-assign]
        task = asyncio.create_task(consumer.run())
        await put(shelf, "s", 1)
        assert await seen(reader, 1) == [("s", 1)]
        there.set()
        assert await seen(reader, 2) == [("s", 1), ("c", 1)], "and once it is back it is read by itself"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_delivered_twice_is_in_effect_once(shelf: Store, reader: Store):
    async with consuming(reader, shelf, note(reader), loopback=True):
        await put(shelf, "s", 1)
        assert await seen(reader, 1) == [("s", 1)]


async def test_a_restarted_consumer_goes_on_where_it_was(shelf: Store, reader: Store):
    async with consuming(reader, shelf, note(reader)):
        await put(shelf, "s", 1)
        await seen(reader, 1)
    await put(shelf, "s", 2)
    async with consuming(reader, shelf, note(reader)):
        assert await seen(reader, 2) == [("s", 1), ("s", 2)]


async def test_lost_positions_do_no_harm(shelf: Store, reader: Store):
    async with consuming(reader, shelf, note(reader)):
        await put(shelf, "s", 1)
        await seen(reader, 1)
    async with reader.transaction() as tx:
        await tx.execute("delete from consumer_position")
    async with consuming(reader, shelf, note(reader)):
        await put(shelf, "s", 2)
        assert await seen(reader, 2) == [("s", 1), ("s", 2)]


async def test_a_row_that_fails_for_a_while_holds_up_its_own_stream_only(shelf: Store, reader: Store):
    failures, keep = 3, note(reader)

    async def handle(event: WasPut) -> None:
        nonlocal failures
        if event == WasPut("bad", 1) and failures:
            failures -= 1
            raise ValueError("not yet")
        await keep(event)

    async with consuming(reader, shelf, handle) as consumer:
        for shelf_name, things in (("bad", 1), ("good", 1), ("bad", 2), ("good", 2)):
            await put(shelf, shelf_name, things)
        order = await seen(reader, 4)
        assert [row for row in order if row[0] == "good"] == [("good", 1), ("good", 2)]
        assert [row for row in order if row[0] == "bad"] == [("bad", 1), ("bad", 2)]
        assert order.index(("good", 2)) < order.index(("bad", 1))
        assert await consumer.lag() == {"shelf": 0}
    assert await Failures(reader, REGISTRY).all() == []


async def test_a_poisonous_row_ends_in_the_dead_letters_and_can_be_redriven(tmp_path: Path, shelf: Store):
    clock, healed = TestClock(), False
    async with open_store(tmp_path, "patient", clock, REGISTRY) as patient:
        async with patient.transaction() as tx:
            await tx.execute("create table seen (shelf text, things integer)")
        keep = note(patient)

        async def handle(event: WasPut) -> None:
            if event.things == 13 and not healed:
                raise ValueError("unlucky: 4242 4242 4242 4242")
            await keep(event)

        failures = Failures(patient, REGISTRY)
        async with consuming(patient, shelf, handle) as consumer:
            await put(shelf, "s", 13)
            await put(shelf, "s", 14)
            for _ in range(1200):
                clock.advance(seconds=60)
                if dead := await failures.all(dead=True):
                    break
                await asyncio.sleep(0.05)
            assert [(letter.name, letter.attempts, letter.error) for letter in dead] == [("shelf.was_put", 8, "ValueError: unlucky: [card …4242]")]
            clock.advance(seconds=60)
            assert await seen(patient, 1) == [("s", 14)]
            healed = True
            await failures.redrive("reader", dead[0].id)
            consumer.look_again()
            assert await seen(patient, 2) == [("s", 14), ("s", 13)]
            assert await failures.all() == []


async def test_what_was_given_up_in_an_outage_is_redriven_all_at_once_in_order_and_handled_once(tmp_path: Path, shelf: Store):
    streams, each = 60, 20  # more than are taken up together
    async with open_store(tmp_path, "patient", TestClock(), REGISTRY) as patient:
        async with patient.transaction() as tx:
            await tx.execute("create table seen (shelf text, things integer)")
        for number in range(streams):
            for things in range(each):
                await put(shelf, f"s{number}", things)
        failures = Failures(patient, REGISTRY)
        async with patient.transaction() as tx:
            for row in await shelf.log.tail(0, streams * each):
                await failures.keep(tx, "reader", row, "ValueError: down", 8)
            await failures.keep(tx, "another", row, "ValueError: down", 8)
            await tx.execute("insert into consumer_position (consumer, source, position) values ('reader', 'shelf', :position)", position=row.position)
        async with consuming(patient, shelf, note(patient)) as consumer:
            assert await failures.redrive_all("reader", "shelf.was_shut") == 0
            assert await failures.redrive_all("reader", "shelf.was_put") == streams * each
            consumer.look_again()
            found = await seen(patient, streams * each)
            for number in range(streams):
                assert [things for name, things in found if name == f"s{number}"] == list(range(each))
            assert [letter.consumer for letter in await failures.all()] == ["another"]
            assert await failures.redrive_all("", "shelf.was_put") == 1


async def test_a_reader_follows_a_stream_as_it_grows(shelf: Store):
    await put(shelf, "s", 1)
    found: list[int] = []

    async def follow() -> None:
        async for row in shelf.log.follow("s", 0):
            found.append(row.version)
            if row.version == 3:
                return

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    await put(shelf, "other", 1)
    await put(shelf, "s", 2)
    await put(shelf, "s", 3)
    await asyncio.wait_for(task, 60)
    assert found == [1, 2, 3]


async def test_calling_another_context_inside_a_transaction_is_refused(shelf: Store):
    async def count(_: Count) -> int:
        return 1

    call = LocalCalls({Count: count})
    assert await call(Count("s")) == 1
    with pytest.raises(RuntimeError, match="inside a transaction"):
        async with shelf.transaction():
            await call(Count("s"))


async def test_a_full_disk_makes_rows_wait_and_sends_none_to_the_dead_letters(shelf: Store, reader: Store):
    database = reader.database
    assert isinstance(database, SqliteDatabase)
    pages = database._writer.execute("pragma page_count").fetchone()[0]
    database._writer.execute(f"pragma max_page_count = {pages}")
    tried = asyncio.Event()

    async def handle(event: WasPut) -> None:
        tried.set()
        async with reader.transaction() as tx:
            await tx.execute("insert into seen values (:shelf, :things)", shelf=event.shelf + "x" * 100_000, things=event.things)

    async with consuming(reader, shelf, handle):
        await put(shelf, "a", 1)
        await tried.wait()
        await asyncio.sleep(0.05)
        assert list(await Failures(reader, REGISTRY).all()) == []
        database._writer.execute("pragma max_page_count = 100000")
        assert len(await seen(reader, 1)) == 1
    assert list(await Failures(reader, REGISTRY).all()) == []


async def test_a_clock_that_is_set_back_does_not_make_failed_rows_wait(tmp_path: Path):
    clock, failing = TestClock(), True
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as shelf, open_store(tmp_path, "reader", clock, REGISTRY) as reader:
        async with reader.transaction() as tx:
            await tx.execute("create table seen (shelf text, things integer)")

        async def handle(event: WasPut) -> None:
            if failing:
                raise ValueError("not yet")
            await note(reader)(event)

        async with consuming(reader, shelf, handle):
            await put(shelf, "a", 1)
            await asyncio.sleep(0.05)
            clock.advance(hours=-1)
            failing = False
            assert await seen(reader, 1) == [("a", 1)]


async def test_rows_that_waited_behind_a_failed_one_are_soon_caught_up_with(shelf: Store, reader: Store):
    failing = True

    async def handle(event: WasPut) -> None:
        if failing:
            raise ValueError("not yet")
        await note(reader)(event)

    async with consuming(reader, shelf, handle):
        await asyncio.gather(*(put(shelf, "hot", n) for n in range(1500)))
        await asyncio.sleep(0.1)
        failing = False
        async with asyncio.timeout(60):
            assert await seen(reader, 1500) == [("hot", n) for n in range(1500)]


async def test_a_stream_that_still_fails_does_not_keep_another_from_being_caught_up_with(shelf: Store, reader: Store):
    failing = {"bad", "good"}

    async def handle(event: WasPut) -> None:
        if event.shelf in failing:
            raise ValueError("not yet")
        await note(reader)(event)

    async with consuming(reader, shelf, handle):
        for n in range(10):
            await put(shelf, "bad", n)
            await put(shelf, "good", n)
        await asyncio.sleep(0.05)
        failing.remove("good")
        assert await seen(reader, 10) == [("good", n) for n in range(10)]
