"""A log that many processes write to: no row is missed, however transactions interleave; others hear of it soon, and all the same when nobody tells them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from torg.kit import telemetry
from torg.kit.bus import BusConsumer, Consumer, Failures, LogFeed
from torg.kit.bus.log_feed import LOOK_EVERY
from torg.kit.errors import Occupied
from torg.kit.log import Log
from torg.kit.sql.dialect import POSTGRES, ROWS_OF_A_TRANSACTION
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.postgres import Address, PostgresDatabase, connect
from torg.kit.store import Store
from torg.kit.testing import TestClock
from torg.kit.testing.postgres import open_schema
from torg.kit.testing.waiting import SETTLE, until
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import utc_now


@asynccontextmanager
async def open_shelf(url: str) -> AsyncIterator[Store]:
    async with open_schema(url, "shelf") as database:
        await migrate(database, [KIT], TestClock())
        yield store_over(database)


def store_over(database: PostgresDatabase) -> Store:
    return Store("shelf", database, Log("shelf", database, REGISTRY), utc_now)


@pytest.fixture
async def shelf(postgres_url: str) -> AsyncIterator[Store]:
    async with open_shelf(postgres_url) as store:
        yield store


@pytest.fixture
async def elsewhere(postgres_url: str, shelf: Store) -> AsyncIterator[Store]:
    """The same records, in another process."""
    database = await connect(Address(postgres_url, shelf.database.context))  # type: ignore[attr-defined]
    yield store_over(database)
    await database.close()


async def put(store: Store, things: int, stream: str = "s") -> None:
    async with store.transaction() as tx:
        await tx.append(stream, [WasPut(stream, things)])


class Held:
    """A transaction that has put something and is not committed before it is told so."""

    def __init__(self, store: Store, things: int, stream: str) -> None:
        self._written, self._release = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(store, things, stream), context=contextvars.Context())

    async def _run(self, store: Store, things: int, stream: str) -> None:
        async with store.transaction() as tx:
            await tx.append(stream, [WasPut(stream, things)])
            self._written.set()
            await self._release.wait()

    async def written(self) -> Held:
        await self._written.wait()
        return self

    async def commit(self) -> None:
        self._release.set()
        await self._task


class Reader:
    """Follows a log by its positions, as consumers and relays do."""

    def __init__(self, log: Log) -> None:
        self._log, self._position = log, 0
        self.seen: list[int] = []

    async def look(self) -> Sequence[int]:
        rows = await self._log.tail(self._position, 100)
        self._position = rows[-1].position if rows else self._position
        self.seen += [row.message.things for row in rows]  # type: ignore[attr-defined]
        return self.seen


async def settled(store: Store) -> None:
    """Until nothing under way on this server is older than what is committed here."""

    async def nothing_waits() -> bool:
        return (await store.database.value("select max(position) from log") or 0) <= await store.log.head()

    await until(nothing_waits)


# ---------------------------------------------------------------- interleaved writers


async def test_a_reader_misses_no_row_of_interleaved_transactions(shelf: Store):
    reader = Reader(shelf.log)
    slow = await Held(shelf, 1, "slow").written()
    await put(shelf, 2, "fast")
    assert await reader.look() == [], "what is committed waits for what may still appear before it"
    await slow.commit()
    await settled(shelf)
    assert await reader.look() == [1, 2]


async def test_a_reader_of_all_that_is_committed_would_lose_a_row(shelf: Store):
    """Shows what the condition `settled` is for."""
    unsafe = Log("shelf", _seeing_all(shelf.database), REGISTRY)
    reader = Reader(unsafe)
    slow = await Held(shelf, 1, "slow").written()
    await put(shelf, 2, "fast")
    assert await reader.look() == [2]
    await slow.commit()
    await settled(shelf)
    assert await reader.look() == [2], "row 1 has appeared behind the reader's back"


def _seeing_all(database: object) -> PostgresDatabase:
    assert isinstance(database, PostgresDatabase)
    seeing = object.__new__(PostgresDatabase)
    seeing.__dict__ = {**database.__dict__, "dialect": replace(POSTGRES, settled="1 = 1")}
    return seeing


async def test_readers_miss_nothing_of_many_writers(shelf: Store, elsewhere: Store):
    """Rows of a stream come in the order of their versions, each once."""
    reader, rows = Reader(shelf.log), 40

    async def write(store: Store, stream: str) -> None:
        for number in range(rows):
            async with store.transaction() as tx:
                await tx.append(stream, [WasPut(stream, number), WasPut(stream, number)])
                await asyncio.sleep(0.001 * (number % 3))

    writers = asyncio.gather(*(write(store, f"s{n}") for n, store in enumerate((shelf, shelf, elsewhere, elsewhere))))
    while not writers.done():
        await reader.look()
        await asyncio.sleep(0.002)
    await writers
    await settled(shelf)
    await reader.look()
    assert len(reader.seen) == 4 * 2 * rows
    kept = await shelf.database.all("select stream, version from log order by position")
    for stream in ("s0", "s1", "s2", "s3"):
        assert [row["version"] for row in kept if row["stream"] == stream] == list(range(1, 2 * rows + 1))


async def test_rows_of_one_transaction_keep_their_order(shelf: Store):
    async with shelf.transaction() as tx:
        for number in range(5):
            await tx.append(f"s{number % 2}", [WasPut("x", 2 * number), WasPut("x", 2 * number + 1)])
    await settled(shelf)
    assert await Reader(shelf.log).look() == list(range(10))


async def test_a_strangers_transaction_delays_rows_and_loses_none(postgres_url: str, shelf: Store):
    async with open_shelf(postgres_url) as stranger:
        reader, other = Reader(shelf.log), await Held(stranger, 0, "s").written()
        for number in range(3):
            await put(shelf, number)
        assert await reader.look() == []
        await other.commit()
        await settled(shelf)
        assert await reader.look() == [0, 1, 2]


async def test_positions_go_on_growing_in_a_new_cluster(shelf: Store):
    """A restored database brings positions that the transaction ids of its new cluster have not come to."""
    await put(shelf, 1)
    ahead = await shelf.database.value("select max(position) from log") + 5_000_000 * ROWS_OF_A_TRANSACTION
    await shelf.database.execute_alone(f"update log set position = {ahead}")  # type: ignore[attr-defined]
    assert await migrate(shelf.database, [KIT], TestClock()) == []
    reader = Reader(shelf.log)
    await until(reader.look)
    slow = await Held(shelf, 2, "slow").written()
    await put(shelf, 3, "fast")
    assert await reader.look() == [1]
    await slow.commit()
    await settled(shelf)
    assert await reader.look() == [1, 2, 3]
    before = await shelf.database.value("select value from log_origin")
    await migrate(shelf.database, [KIT], TestClock())
    assert await shelf.database.value("select value from log_origin") == before


# ---------------------------------------------------------------- hearing of it


async def test_another_process_hears_of_a_row_at_once(shelf: Store, elsewhere: Store):
    heard = asyncio.Event()
    elsewhere.log.watch(heard.set, [WasPut])
    await _listening(shelf, elsewhere)
    took = list[float]()
    for number in range(10):
        heard.clear()
        began = time.perf_counter()
        await put(shelf, number)
        async with asyncio.timeout(SETTLE):
            await heard.wait()
        took.append(time.perf_counter() - began)
    assert min(took) < LOOK_EVERY / 2  # sooner than who looks now and then; not the slowest of them: others have the machine too


async def test_a_notification_that_is_lost_only_delays(shelf: Store, elsewhere: Store):
    seen: list[int] = []

    async def see(event: WasPut) -> None:
        seen.append(event.things)

    log = Log("shelf", elsewhere.database, REGISTRY)
    await elsewhere.database._notices.close()  # type: ignore[attr-defined]
    consumer = BusConsumer(Consumer("reader", {WasPut: see}), elsewhere, LogFeed({"shelf": log}, looks=True), REGISTRY)
    task = asyncio.create_task(consumer.run())
    await asyncio.sleep(0.2)
    await put(shelf, 1)
    await until(lambda: seen)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_listens_goes_on_after_its_connection_is_lost(shelf: Store, elsewhere: Store):
    heard = asyncio.Event()
    elsewhere.log.watch(heard.set, [WasPut])
    await _listening(shelf, elsewhere)
    heard.clear()
    await shelf.database.value(_END_LISTENERS, channel=f"%torg_{shelf.database.context}%")  # type: ignore[attr-defined]
    async with asyncio.timeout(SETTLE):
        await heard.wait()  # something may have been missed, it is told
    await _listening(shelf, elsewhere)
    heard.clear()
    await put(shelf, 1)
    async with asyncio.timeout(SETTLE):
        await heard.wait()


_LISTENERS = "from pg_stat_activity where query ilike 'listen%' and query ilike :channel"
_END_LISTENERS = f"select count(pg_terminate_backend(pid)) {_LISTENERS}"


async def _listening(*stores: Store) -> None:
    channel = f"%torg_{stores[0].database.context}%"  # type: ignore[attr-defined]

    async def all_listen() -> bool:
        return bool(await stores[0].database.value(f"select count(*) {_LISTENERS}", channel=channel) >= len(stores))

    await until(all_listen)


# ---------------------------------------------------------------- leases

_HOLDER = """
import asyncio, sys
from torg.kit.sql.postgres import Address, connect

async def main():
    database = await connect(Address(sys.argv[1], sys.argv[2]))
    while True:
        print(int(await database.lease("job", 3.0)), flush=True)
        await asyncio.sleep(0.05)

asyncio.run(main())
"""


async def test_a_lease_moves_on_while_its_holder_is_stopped_and_back_afterwards(postgres_url: str, shelf: Store):
    schema = shelf.database.context  # type: ignore[attr-defined]
    child = await asyncio.to_thread(_start_holder, postgres_url, schema)
    try:
        assert child.stdout
        assert await asyncio.to_thread(child.stdout.readline) == "1\n"
        assert not await shelf.database.lease("job", 60)
        child.send_signal(signal.SIGSTOP)
        await until(lambda: shelf.database.lease("job", 60))
        child.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(_said, child.stdout, "0\n"), "who was stopped learns that it lost the lease"
        assert await shelf.database.lease("job", 60)
        await shelf.database.execute_alone("delete from lease")  # type: ignore[attr-defined]
        assert await asyncio.to_thread(_said, child.stdout, "1\n")
    finally:
        child.kill()
        child.communicate()


def _start_holder(url: str, schema: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen([sys.executable, "-c", _HOLDER, url, schema], stdout=subprocess.PIPE, text=True, env=environment)


def _said(lines: object, wanted: str) -> bool:
    return any(line == wanted for line, _ in zip(lines, range(200), strict=False))  # type: ignore[call-overload]


async def test_a_process_that_was_killed_has_its_leases_back_at_once(postgres_url: str, shelf: Store):
    address = Address(postgres_url, shelf.database.context)  # type: ignore[attr-defined]
    killed, successor, other = [await connect(address, holder=name) for name in ("order.0", "order.0", "order.1")]
    try:
        assert await killed.lease("relay", 30)
        assert await successor.lease("relay", 30)
        assert not await other.lease("relay", 30)
    finally:
        for database in (killed, successor, other):
            await database.close()


async def test_of_many_that_ask_for_a_lease_one_gets_it(shelf: Store, elsewhere: Store):
    got = await asyncio.gather(*(store.database.lease("job", 30) for store in (shelf, elsewhere)))
    assert sorted(got) == [False, True]
    assert await asyncio.gather(*(store.database.lease("job", 30) for store in (shelf, elsewhere))) == got


# ---------------------------------------------------------------- consumers


@asynccontextmanager
async def consuming(store: Store, log: Log, handle: Callable[[WasPut], Awaitable[None]]) -> AsyncIterator[Failures]:
    consumer = BusConsumer(Consumer("reader", {WasPut: handle}), store, LogFeed({"shelf": log}, looks=True), REGISTRY)
    task = asyncio.create_task(consumer.run())
    try:
        yield Failures(store, REGISTRY)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_another_was_faster_with_is_no_fault_of_the_row(shelf: Store):
    seen, crossings = list[int](), iter(range(3))

    async def handle(event: WasPut) -> None:
        if event.things == 2 and next(crossings, None) is not None:
            raise Occupied("another has appended to the stream")
        seen.append(event.things)

    for number in range(4):
        await put(shelf, number, f"s{number}")
    async with consuming(shelf, shelf.log, handle) as failures:
        await until(lambda: 3 in seen)
        assert await failures.all() == []
        assert seen[-4:] == [0, 1, 2, 3]


async def test_many_rows_that_others_are_faster_with_are_no_faults_either(shelf: Store):
    """As where another consumer of the same events appends to the same streams."""
    seen, tried = list[int](), Counter[int]()

    async def handle(event: WasPut) -> None:
        tried[event.things] += 1
        if tried[event.things] <= 2:
            raise Occupied("another has appended to the stream")
        seen.append(event.things)

    for number in range(20):
        await put(shelf, number, f"s{number}")
    failed = telemetry.MESSAGES.labels("reader", WasPut.NAME, "failed")._value
    before = failed.get()
    async with consuming(shelf, shelf.log, handle):
        await until(lambda: len(set(seen)) == 20)
    assert failed.get() == before


async def test_a_key_that_stays_taken_is_a_fault_of_the_row_and_holds_up_no_other(shelf: Store):
    seen: list[int] = []

    async def handle(event: WasPut) -> None:
        if event.things == 2:
            raise Occupied("it is always there")
        seen.append(event.things)

    for number in range(4):
        await put(shelf, number, f"s{number}")
    async with consuming(shelf, shelf.log, handle) as failures:

        async def kept() -> bool:
            return len(await failures.all()) == 1 and shelf.database.shared

        await until(kept)
        await until(lambda: 3 in seen)  # where another was faster each row is committed alone, and the last one behind the fault
        assert set(seen) == {0, 1, 3}


async def test_much_that_has_come_together_is_handled_in_transactions_that_end_soon(shelf: Store):
    """Others wait for what a transaction holds: 300 rows are not one."""
    transactions: list[int] = []

    async def handle(_: WasPut) -> None:
        async with shelf.transaction() as tx:
            transactions.append(await tx.value("select cast(cast(pg_current_xact_id() as text) as bigint)"))

    async with shelf.transaction() as tx:
        await tx.append("s", [WasPut("s", number) for number in range(300)])
    async with consuming(shelf, shelf.log, handle):
        await until(lambda: len(transactions) >= 300)
    assert len(transactions) == 300
    assert max(Counter(transactions).values()) <= 32
