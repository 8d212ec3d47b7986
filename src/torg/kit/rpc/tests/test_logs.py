"""Following the log of another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torg.kit.auditing import Fault, Invariant
from torg.kit.bus import BusConsumer, Consumer, Failures, LogFeed
from torg.kit.errors import NotFound, Unavailable
from torg.kit.messages import Message, Meta, encode, reply_type
from torg.kit.operations import Desk
from torg.kit.rpc.desks import RemoteDesk, open_desks
from torg.kit.rpc.logs import KEPT, RemoteLog, Waiting
from torg.kit.store import Store
from torg.kit.tasks import Supervisor
from torg.kit.telemetry import acting
from torg.kit.testing import open_store
from torg.kit.testing.waiting import until
from torg.kit.tests.messages import REGISTRY, Put, WasPut
from torg.kit.values import utc_now


class Wire:
    """Carries what is asked to the other process, as bytes; `cut`, it carries nothing. `asked` is what it carried, by kind."""

    def __init__(self, desk: Desk) -> None:
        self.cut, self.asked, self.waiting = False, list[type[Message]](), Waiting()
        self._handlers = open_desks({"shelf": desk}, REGISTRY, self.waiting)

    async def __call__(self, context: str, message: Any) -> Any:
        kind: type[Message] = type(message)
        self.asked.append(kind)
        if self.cut:
            raise Unavailable("the wire is cut")
        reply = await self._handlers[kind](msgspec.json.decode(encode(message), type=kind))
        if self.cut:
            raise Unavailable("the wire was cut")
        return msgspec.json.decode(encode(reply), type=reply_type(kind))


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as store:
        yield store


@pytest.fixture
async def reader(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "reader", utc_now, REGISTRY) as store:
        async with store.transaction() as tx:
            await tx.execute("create table seen (things integer)")
        yield store


@pytest.fixture
def wire(shelf: Store) -> Wire:
    return Wire(Desk("shelf", shelf, Failures(shelf, REGISTRY)))


async def put(shelf: Store, *things: int, stream: str = "s1", kind: type[Any] = WasPut) -> None:
    async with shelf.transaction() as tx:
        await tx.append(stream, [kind("s1", number) for number in things])


@asynccontextmanager
async def running(*tasks: Any) -> AsyncIterator[None]:
    started = [asyncio.ensure_future(task) for task in tasks]
    try:
        yield
    finally:
        for task in started:
            task.cancel()
        await asyncio.gather(*started, return_exceptions=True)


@asynccontextmanager
async def consuming(reader: Store, log: RemoteLog, follow: bool = True) -> AsyncIterator[BusConsumer]:
    async def note(event: WasPut) -> None:
        async with reader.transaction() as tx:
            await tx.execute("insert into seen values (:things)", things=event.things)

    consumer = BusConsumer(Consumer("reader", {WasPut: note}), reader, LogFeed({"shelf": log}), REGISTRY)
    async with running(consumer.run(), *([log.run()] if follow else [])):
        yield consumer


async def has_seen(reader: Store, count: int) -> bool:
    seen: int = await reader.database.value("select count(*) from seen")
    return seen >= count


async def seen(reader: Store, count: int) -> list[int]:
    await until(lambda: has_seen(reader, count))
    await asyncio.sleep(0.05)
    return [row["things"] for row in await reader.database.all("select things from seen order by rowid")]


async def test_rows_that_were_there_and_rows_that_come_are_handled_once_and_in_order(shelf: Store, reader: Store, wire: Wire):
    await put(shelf, *range(600))
    async with consuming(reader, RemoteLog("shelf", wire, REGISTRY)):
        assert await seen(reader, 600) == list(range(600))
        for number in range(600, 650):
            await put(shelf, number)
        assert await seen(reader, 650) == list(range(650))


async def test_a_new_row_is_told_at_once_and_waiting_costs_nothing(shelf: Store, reader: Store, wire: Wire):
    async with consuming(reader, RemoteLog("shelf", wire, REGISTRY)):
        await put(shelf, 1)
        await seen(reader, 1)
        asked = len(wire.asked)
        await asyncio.sleep(0.3)
        assert len(wire.asked) == asked
        await put(shelf, 2)
        await until(lambda: has_seen(reader, 2))
        assert len(wire.asked) <= asked + 1, "the question that waited was answered"


async def test_rows_nobody_wants_do_not_travel(shelf: Store, wire: Wire):
    log = RemoteLog("shelf", wire, REGISTRY)
    log.watch(lambda: None, [WasPut])
    await put(shelf, *range(1000), kind=Put)
    await put(shelf, 7)
    (row,) = await log.tail(0, 256)
    assert (row.position, row.message) == (1001, WasPut("s1", 7))


async def test_a_row_is_the_same_as_in_its_own_process(shelf: Store, wire: Wire):
    with acting(Meta(cause="a/b/1", actor="anna", request="r1", trace="t1")):
        await put(shelf, 7, stream="s/ш")
    log = RemoteLog("shelf", wire, REGISTRY)
    log.watch(lambda: None, [WasPut])
    assert list(await log.tail(0, 10)) == list(await shelf.log.tail(0, 10))
    assert list(await log.named([WasPut], 0, 1)) == list(await shelf.log.named([WasPut], 0, 1))
    assert (await log.head(), await log.step(0, 1, 5)) == (1, 1)


async def test_while_the_other_process_is_away_nothing_is_lost(shelf: Store, reader: Store, wire: Wire):
    async with consuming(reader, RemoteLog("shelf", wire, REGISTRY)):
        await put(shelf, 1)
        await seen(reader, 1)
        wire.cut = True
        await put(shelf, 2, 3)
        await asyncio.sleep(0.2)
        assert await seen(reader, 1) == [1]
        wire.cut = False
        assert await seen(reader, 3) == [1, 2, 3]


async def test_a_log_is_followed_again_after_an_error_nobody_foresaw(shelf: Store, reader: Store, wire: Wire):
    async def ask(context: str, message: Any) -> Any:
        if broken:
            raise RuntimeError("a defect")
        return await wire(context, message)

    broken, log, supervisor = False, RemoteLog("shelf", ask, REGISTRY), Supervisor()
    supervisor.start("log.shelf", log.run)
    try:
        async with consuming(reader, log, follow=False):
            await put(shelf, 1)
            await seen(reader, 1)
            broken = True
            await put(shelf, 2)
            await until(lambda: asyncio.sleep(0, "log.shelf" in supervisor.failing))
            broken = False
            await put(shelf, 3)
            assert await seen(reader, 3) == [1, 2, 3]
    finally:
        await supervisor.close()


async def test_a_reader_that_falls_behind_what_is_held_catches_up_from_the_log(shelf: Store, wire: Wire):
    log = RemoteLog("shelf", wire, REGISTRY)
    log.watch(lambda: None, [WasPut])
    async with running(log.run()):
        await asyncio.sleep(0.05)
        for start in range(0, KEPT + 1000, 100):
            await put(shelf, *range(start, start + 100))
            await log.refresh()
        position, things = 0, list[int]()
        while rows := await log.tail(position, 500):
            position = rows[-1].position
            things += [row.message.things for row in rows if isinstance(row.message, WasPut)]
        assert things == list(range(len(things)))
        assert len(things) > KEPT


async def test_what_is_still_to_be_handled_is_known_without_asking(shelf: Store, wire: Wire):
    log = RemoteLog("shelf", wire, REGISTRY)
    log.watch(lambda: None, [WasPut])
    assert await log.count([WasPut], 0, 100) == 1, "nothing is known yet"
    await put(shelf, *range(300))
    rows = await log.tail(0, 256)
    assert await log.count([WasPut], rows[-1].position, 100) == 44
    async with running(log.run()):
        await asyncio.sleep(0.05)
        await put(shelf, 1, 2)
        await log.refresh()
        asked = len(wire.asked)
        assert await log.count([WasPut], 300, 100) == 2
        assert await log.count([WasPut], 302, 100) == 0
        assert len(wire.asked) == asked


async def test_whoever_wants_other_rows_later_gets_them_too(shelf: Store, wire: Wire):
    log, woken = RemoteLog("shelf", wire, REGISTRY), list[str]()
    log.watch(lambda: woken.append("events"), [WasPut])
    async with running(log.run()):
        await put(shelf, 1, kind=Put)
        await asyncio.sleep(0.05)
        log.watch(lambda: woken.append("commands"), [Put])
        await put(shelf, 2, kind=Put)

        async def told() -> bool:
            return "commands" in woken

        await until(told)
        assert [row.message for row in await log.tail(0, 10)] == [Put("s1", 1), Put("s1", 2)]


async def test_readers_are_sent_home_when_the_process_ends(shelf: Store, wire: Wire):
    log = RemoteLog("shelf", wire, REGISTRY)
    log.watch(lambda: None, [WasPut])
    async with running(log.run()):
        await asyncio.sleep(0.1)
        asked = len(wire.asked)
        wire.waiting.end()

        async def sent_home() -> bool:
            return len(wire.asked) > asked

        await until(sent_home)
        await asyncio.sleep(0.2)
        assert len(wire.asked) < asked + 20, "who was sent home takes its time before it comes again"


async def test_a_desk_elsewhere_shows_and_does_the_same(shelf: Store, reader: Store):
    async def off() -> list[Fault]:
        return [Fault(sentence="one is missing", about="stream", id="shelf/s1")]

    desk = Desk("shelf", shelf, Failures(shelf, REGISTRY))
    desk.invariants = [Invariant("whole", "Nothing is missing.", off)]
    wire = Wire(desk)
    remote = RemoteDesk("shelf", wire, RemoteLog("shelf", wire, REGISTRY))
    await put(shelf, 1, 2)
    (found,) = await remote.inspect()
    assert (found.name, found.violations) == ("shelf.whole", ("one is missing",))
    assert [(one.sentence, one.id, one.remedy) for one in found.details] == [("one is missing", "shelf/s1", "ask")]
    assert list(await remote.rows("", 0, 10)) == list(await desk.rows("", 0, 10)) == await desk.rows("", 0, 2)
    assert [row.version for row in await remote.rows((await desk.rows("", 0, 1))[0].stream, 0, 1)] == [1]
    assert await remote.browse("", "", 0, 10) == await desk.browse("", "", 0, 10)
    assert await remote.missing_versions("s1") == 0
    assert (list(await remote.torn_streams(0, 2)), list(await remote.overdue_sagas(utc_now()))) == ([], [])
    assert (list(await remote.failed_messages(dead=True)), list(await remote.progress()), await remote.settled()) == ([], [], True)
    with pytest.raises(NotFound, match="no dead letter"):
        await remote.redrive("shelf", "nobody's")
