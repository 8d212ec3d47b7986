"""A consumer follows other contexts' logs and handles what it subscribed to, in batches: positions, processed ids and effects share one commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
from prometheus_client import Counter

from torg.kit import telemetry
from torg.kit.bus.failures import TRIES, Failures
from torg.kit.calls import Handle
from torg.kit.errors import Unavailable
from torg.kit.log import Log
from torg.kit.messages import Command, Envelope, Message, Meta, Registry, context_of, encode
from torg.kit.store import Store, Transaction
from torg.kit.values import stamp

BATCH = 256
RETRY_EVERY = 0.25  # seconds between looks at parked rows, while there are any
SLOWEST_RETRY = 5.0  # seconds

_FILE_ID = "insert into consumed (consumer, id, at) values (:name, :id, :at) on conflict do nothing"


class _Repeated(Exception):
    """A batch holds rows that were handled before."""


@dataclass(frozen=True)
class Consumer:
    """A subscription: a stable name (its position is filed under it) and the handlers of the messages it wants.

    Events are read in the log of the context they are named for, commands in the logs of `commands_from`: those whose sagas send them."""

    name: str
    handlers: Mapping[type[Message], Handle]
    commands_from: frozenset[str] = frozenset({"order"})

    def sources(self) -> set[str]:
        """The contexts whose logs it follows."""
        return {source for kind in self.handlers for source in (self.commands_from if issubclass(kind, Command) else {context_of(kind)})}


class BusConsumer:
    """Runs one Consumer in one store over the logs of this process. Each row takes effect once, however often it is delivered."""

    def __init__(self, consumer: Consumer, store: Store, logs: Mapping[str, Log], registry: Registry, loopback: bool = False) -> None:
        self.name, self._handlers, self._store = consumer.name, consumer.handlers, store
        self._logs = {name: logs[name] for name in sorted(consumer.sources()) if name in logs}
        self._registry, self._loopback = registry, loopback
        self._failures = Failures(store, registry)
        self._positions: dict[str, int] = {}
        self._parked: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._counters: dict[tuple[str, str], Counter] = {}
        self._stale = False

    async def run(self) -> None:
        """Follows the logs until cancelled."""
        await self._load()
        for log in self._logs.values():
            log.watch(self._wake.set, self._handlers.keys())
        try:
            await self._follow()
        finally:
            for log in self._logs.values():
                log.unwatch(self._wake.set)

    def look_again(self) -> None:
        """Has it look at its failed rows anew: one of them was redriven."""
        self._stale = True
        self._wake.set()

    def positions(self) -> dict[str, int]:
        """How far it has come in each source."""
        return {name: self._positions.get(name, 0) for name in self._logs}

    async def lag(self) -> dict[str, int]:
        """Rows of each source that this consumer wants and has yet to handle (among the next 10,000)."""
        return {name: await log.count(self._handlers.keys(), self._positions.get(name, 0), 10_000) for name, log in self._logs.items()}

    async def _load(self) -> None:
        rows = await self._store.database.all("select source, position from consumer_position where consumer = :name", name=self.name)
        self._positions = {row["source"]: row["position"] for row in rows}
        self._parked = await self._failures.parked_streams(self.name)

    async def _follow(self) -> None:
        pause = RETRY_EVERY
        while True:
            self._wake.clear()
            try:
                busy = await self._round()
                pause = RETRY_EVERY
            except Unavailable as away:
                telemetry.log.warning("a consumer's store is away", consumer=self.name, detail=away.detail, seconds=pause)
                await asyncio.sleep(pause)
                pause, busy = min(pause * 2, SLOWEST_RETRY), True
                await self._load()
            if not busy:
                await self._idle()

    async def _idle(self) -> None:
        """Sleeps until a log grows; while rows are parked, just until the next look at them."""
        if not self._parked:
            await self._wake.wait()
            return
        with suppress(TimeoutError):  # time to look at the parked rows
            await asyncio.wait_for(self._wake.wait(), RETRY_EVERY)

    async def _round(self) -> bool:
        busy = False
        if self._parked or self._stale:
            self._stale = False
            busy = await self._retry()
        for name, log in self._logs.items():
            rows = await log.tail(self._positions.get(name, 0), BATCH)
            if rows:
                busy = True
                await self._take(name, rows)
        return busy

    async def _take(self, source: str, rows: Sequence[Envelope]) -> None:
        wanted = [row for row in rows if type(row.message) in self._handlers]
        if self._loopback:
            wanted = [self._copy(row) for row in wanted for _ in range(2)]
        last = rows[-1].position
        if wanted:
            began = time.perf_counter()
            if self._parked or not await self._take_all(source, wanted, last):
                await self._take_each(source, wanted, last)
            telemetry.BATCH.labels(self.name).observe(time.perf_counter() - began)
        self._positions[source] = last  # rows nobody here wants move it in memory only: seeing them again costs nothing

    async def _take_all(self, source: str, rows: Sequence[Envelope], last: int) -> bool:
        """Handles a batch of new rows without a way back for single ones, as nearly always all goes well. False: one of them failed, or had been
        handled before, and nothing has happened."""
        try:
            async with self._store.transaction() as tx:
                await self._file_all(tx, rows)
                for row in rows:
                    await self._handle(row)
                await self._file_position(tx, source, last)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 it comes again when each row is tried by itself, and is told as an error then
            telemetry.log.debug("a batch is done anew, row by row", consumer=self.name, reason=repr(error))
            return False
        for row in rows:
            self._count(row.message.NAME, "done")
        return True

    async def _take_each(self, source: str, rows: Sequence[Envelope], last: int) -> None:
        async with self._store.transaction() as tx:
            for row in rows:
                await self._handle_or_park(tx, row)
            await self._file_position(tx, source, last)

    async def _handle_or_park(self, tx: Transaction, row: Envelope) -> None:
        if (row.context, row.stream) in self._parked:
            await self._failures.keep(tx, self.name, row, "waits behind an earlier row of its stream", 0)
        else:
            await self._attempt(tx, row)

    async def _attempt(self, tx: Transaction, row: Envelope, tried: int = 0, parked: bool = False) -> bool:
        """Whether the row is handled, now or before; else it is kept for later."""
        try:
            async with tx.savepoint():
                done = await self._once(tx, row)
            outcome = "done" if done else "duplicate"
            if parked:
                await self._failures.forget(tx, self.name, row.id)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 whatever a handler raises parks its row, with the reason, and never the rows beside it
            outcome = "dead" if tried + 1 >= TRIES else "failed"
            telemetry.log.error("a message failed", consumer=self.name, message=row.message.NAME, id=row.id, tries=tried + 1, exc_info=error)
            await self._failures.keep(tx, self.name, row, f"{type(error).__name__}: {error}", tried + 1)
            self._parked.add((row.context, row.stream))
        self._count(row.message.NAME, outcome)
        return outcome in ("done", "duplicate")

    def _count(self, name: str, outcome: str) -> None:
        counter = self._counters.get((name, outcome))
        if counter is None:
            counter = self._counters[name, outcome] = telemetry.MESSAGES.labels(self.name, name, outcome)
        counter.inc()

    async def _once(self, tx: Transaction, row: Envelope) -> bool:
        """Handles a row unless its id is filed already."""
        if not await tx.execute(_FILE_ID, name=self.name, id=row.id, at=stamp(self._store.clock())):
            return False
        await self._handle(row)
        return True

    async def _file_all(self, tx: Transaction, rows: Sequence[Envelope]) -> None:
        at = stamp(self._store.clock())
        filed = await tx.execute_many(_FILE_ID, [{"name": self.name, "id": row.id, "at": at} for row in rows])
        if filed < len(rows):
            raise _Repeated(f"{len(rows) - filed} of {len(rows)} rows were handled before")

    async def _handle(self, row: Envelope) -> None:
        with telemetry.span("consume", row.message.NAME, row.meta, consumer=self.name):
            meta = Meta(cause=row.id, actor=row.meta.actor, request=row.meta.request, trace=telemetry.traceparent() or row.meta.trace)
            with telemetry.acting(meta):
                await self._handlers[type(row.message)](row.message)

    async def _retry(self) -> bool:
        """Tries what has failed, and as soon as that succeeds what waited behind it; whether anything did."""
        moved = False
        for stream in await self._failures.due(self.name):
            for row, tried in stream:
                async with self._store.transaction() as tx:
                    done = await self._attempt(tx, row, tried, parked=True)
                if not done:
                    break
                moved = True
        self._parked = await self._failures.parked_streams(self.name)
        return moved

    async def _file_position(self, tx: Transaction, source: str, position: int) -> None:
        await tx.execute(
            """insert into consumer_position (consumer, source, position) values (:name, :source, :position)
               on conflict (consumer, source) do update set position = excluded.position""",
            name=self.name, source=source, position=position,
        )  # fmt: skip

    def _copy(self, row: Envelope) -> Envelope:
        return msgspec.structs.replace(row, message=self._registry.decode(row.message.NAME, encode(row.message)))
