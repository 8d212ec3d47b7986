"""A consumer follows other contexts' logs and handles what it subscribed to, in batches: positions, processed ids and effects share one commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from prometheus_client import Counter

from torg.kit import telemetry
from torg.kit.bus.failures import TRIES, Failures
from torg.kit.bus.feed import Batch, Feed
from torg.kit.calls import Handle, undisturbed
from torg.kit.errors import Interleaved, Occupied, Unavailable
from torg.kit.failpoints import reached
from torg.kit.messages import Command, Envelope, Message, Meta, Registry, context_of, encode
from torg.kit.portions import portions
from torg.kit.store import Store, Transaction
from torg.kit.values import stamp

AT_ONCE = 32  # rows of one transaction, where others wait for what it holds meanwhile
CROSSINGS = 5  # times that a key which is taken is put down to others who were faster
SEEN_AGAIN = 50  # batches of rows nobody here wants, between two positions that are filed for them
RETRY_EVERY = 0.25  # seconds between looks at parked rows, while there are any
SLOWEST_RETRY = 5.0  # seconds

ROWS = 512  # that a commit begins to be large with: what more there is comes into the next
_FILE_POSITION = """insert into consumer_position (consumer, source, position) values (:name, :source, :position)
    on conflict (consumer, source) do update set position = excluded.position"""
_FILE_ID = "insert into consumed (consumer, id, at) values (:name, :id, :at) on conflict do nothing"


class _Crossed(Exception):
    """Another was faster with a key that one of several rows wants."""


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
    """Runs one Consumer in one store over a feed. Each row takes effect once, however often it is delivered."""

    def __init__(self, consumer: Consumer, store: Store, feed: Feed, registry: Registry, loopback: bool = False) -> None:
        self.name, self._handlers, self._store = consumer.name, consumer.handlers, store
        self._feed, self._registry, self._loopback = feed, registry, loopback
        self._failures = Failures(store, registry)
        self._parked: set[tuple[str, str]] = set()
        self._seconds = telemetry.BATCH.labels(self.name)
        self._counters: dict[tuple[str, str], Counter] = {}
        self._unfiled: dict[str, int] = {}
        self._stale, self._crossed = False, 0

    async def run(self) -> None:
        """Follows its feed until cancelled."""
        self._parked = await self._failures.parked_streams(self.name)
        try:
            await self._feed.open(self._handlers.keys(), self.positions)
            await self._follow()
        finally:
            await self._feed.close()

    def look_again(self) -> None:
        """Has it look at its failed rows anew: one of them was redriven."""
        self._stale = True
        self._feed.wake()

    async def positions(self) -> dict[str, int]:
        """How far it has come in each source, as its store says; sources it has only seen rows of that it doesn't want may be further."""
        rows = await self._store.database.all("select source, position from consumer_position where consumer = :name", name=self.name)
        return {row["source"]: row["position"] for row in rows}

    async def lag(self) -> dict[str, int]:
        """Rows of each source that it has yet to handle."""
        return await self._feed.lag()

    async def _follow(self) -> None:
        pause, lost = RETRY_EVERY, False
        while True:
            try:
                if lost:
                    await self._feed.again()
                    self._parked = await self._failures.parked_streams(self.name)
                    lost = False
                await self._round()
                pause = RETRY_EVERY
            except Unavailable as away:
                telemetry.log.warning("a consumer cannot go on", consumer=self.name, detail=away.detail, seconds=pause)
                lost = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, SLOWEST_RETRY)

    async def _round(self) -> None:
        if self._parked or self._stale:
            self._stale = False
            await self._retry()
        batches = await self._feed.take(RETRY_EVERY if self._parked else None)
        if self._feed.reassigned():  # another instance may have parked rows of what is ours now
            self._parked = await self._failures.parked_streams(self.name)
        for together in _commits(batches):
            await self._take(together)
            reached("before ack")
            for batch in together:
                self._feed.took(batch)

    async def _take(self, batches: Sequence[Batch]) -> None:
        """Handles batches of several sources in one commit."""
        rows, positions = list[Envelope](), dict[str, int]()
        for batch in batches:
            wanted = [row for row in batch.rows if type(row.message) in self._handlers]
            if wanted or self._long_unfiled(batch.source):
                self._unfiled[batch.source] = 0
                positions[batch.source] = batch.position
                rows += wanted
        if not positions:
            return
        if self._loopback:
            rows = [self._copy(row) for row in rows for _ in range(2)]
        parts = list(portions(rows, AT_ONCE)) if self._store.database.shared else [rows]
        for part in parts[:-1]:
            await self._take_part(part, {})
        await self._take_part(parts[-1] if parts else (), positions)

    async def _take_part(self, rows: Sequence[Envelope], positions: Mapping[str, int]) -> None:
        """All in one transaction; where another was faster with what one of the rows wants (a consumer of the same events that appends to the same streams),
        each in its own: many together would meet somebody each time that they are tried anew."""
        began = time.perf_counter()
        try:
            await self._take_undisturbed(rows, positions)
        except _Crossed:
            for row in rows[:-1]:
                await self._take_undisturbed((row,), {})
            await self._take_undisturbed(rows[-1:], positions)
        self._seconds.observe(time.perf_counter() - began)

    async def _take_undisturbed(self, rows: Sequence[Envelope], positions: Mapping[str, int]) -> None:
        """Raises _Crossed for several rows, of which nothing has happened."""
        self._crossed = 0

        async def take() -> None:
            try:
                await self._take_wanted(rows, positions)
            except Occupied as error:
                if len(rows) > 1:
                    raise _Crossed from error
                raise

        await undisturbed(take, self.name, self._store.database.lane)

    def _long_unfiled(self, source: str) -> bool:
        """Rows that nobody here wants move a position in memory only: to see these again costs little, to see all of them again after a restart would not."""
        self._unfiled[source] = self._unfiled.get(source, 0) + 1
        return self._unfiled[source] >= SEEN_AGAIN

    async def _take_wanted(self, rows: Sequence[Envelope], positions: Mapping[str, int]) -> None:
        if self._parked or not await self._take_all(rows, positions):
            await self._take_each(rows, positions)

    async def _take_all(self, rows: Sequence[Envelope], positions: Mapping[str, int]) -> bool:
        """Handles new rows without a way back for single ones, as nearly always all goes well. False: one of them failed, or had been handled before, and
        nothing has happened."""
        try:
            async with self._store.transaction() as tx:
                await self._file_all(tx, rows)
                for row in rows:
                    await self._handle(row)
                    reached("in batch")
                reached("before position")
                await self._file_positions(tx, positions)
        except Exception as error:
            if self._is_lost(error):
                raise
            telemetry.log.debug("a batch is done anew, row by row", consumer=self.name, reason=repr(error))
            return False
        for row in rows:
            self._count(row.message.NAME, "done")
        return True

    async def _take_each(self, rows: Sequence[Envelope], positions: Mapping[str, int]) -> None:
        parked = set(self._parked)
        try:
            async with self._store.transaction() as tx:
                for row in rows:
                    await self._handle_or_park(tx, row)
                await self._file_positions(tx, positions)
        except BaseException:  # what was parked in it was not
            self._parked = parked
            raise

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
        except Exception as error:
            if self._is_lost(error):
                raise
            outcome = "dead" if tried + 1 >= TRIES else "failed"
            telemetry.log.error("a message failed", consumer=self.name, message=row.message.NAME, id=row.id, tries=tried + 1, exc_info=error)
            await self._failures.keep(tx, self.name, row, f"{type(error).__name__}: {error}", tried + 1)
            self._parked.add((row.context, row.stream))
        self._count(row.message.NAME, outcome)
        return outcome in ("done", "duplicate")

    def _is_lost(self, error: Exception) -> bool:
        """Whether the whole transaction is lost, through no fault of a single row. A key that is taken may be such a fault, or another's who was a moment
        faster: then it does not show again where the row sees what they did."""
        if isinstance(error, Occupied):
            self._crossed += 1
            return self._store.database.shared and self._crossed <= CROSSINGS
        return isinstance(error, (Interleaved, Unavailable))

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
                if not await undisturbed(lambda row=row, tried=tried: self._try_again(row, tried), self.name, self._store.database.lane):  # type: ignore[misc]
                    break
                moved = True
        self._parked = await self._failures.parked_streams(self.name)
        return moved

    async def _try_again(self, row: Envelope, tried: int) -> bool:
        self._crossed = 0
        async with self._store.transaction() as tx:
            return await self._attempt(tx, row, tried, parked=True)

    async def _file_positions(self, tx: Transaction, positions: Mapping[str, int]) -> None:
        await tx.execute_many(_FILE_POSITION, [{"name": self.name, "source": source, "position": position} for source, position in positions.items()])

    def _copy(self, row: Envelope) -> Envelope:
        return msgspec.structs.replace(row, message=self._registry.decode(row.message.NAME, encode(row.message)))


def _commits(batches: Sequence[Batch]) -> Iterator[Sequence[Batch]]:
    """Batches that go into one commit: all of them, unless they are large."""
    together, rows = list[Batch](), 0
    for batch in batches:
        together.append(batch)
        rows += len(batch.rows)
        if rows >= ROWS:
            yield together
            together, rows = [], 0
    if together:
        yield together
