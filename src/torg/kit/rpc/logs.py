"""The log of a context of another process, as consumers and operators read it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, Final

import msgspec

from torg.kit import telemetry
from torg.kit.bus.log_feed import LATEST, SOONEST
from torg.kit.chain import within
from torg.kit.errors import Unavailable
from torg.kit.log import Log
from torg.kit.messages import Envelope, Message, Registry, encode
from torg.kit.rpc.client import PATIENCE
from torg.kit.rpc.messages import MOST_WAITED, FindHead, LogPart, ReadNamed, SentRow, StepLog, TailLog

AT_ONCE: Final = 256  # rows
FAR: Final = 10_000  # rows counted at most
READERS: Final = 100  # positions remembered
KEPT: Final = 2048  # rows held in memory for consumers that are up to date
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries while the other process is away
Ask = Callable[[str, Any], Awaitable[Any]]
"""Asks the process in which a context runs."""

_position = attrgetter("position")


class RemoteLog:
    """Reads a log over HTTP. One reader follows it for all consumers of this process (`run`, under supervision): it waits at the other end for new rows,
    keeps the newest, and wakes who wants them."""

    reaches, shared = 0, False

    def __init__(self, context: str, ask: Ask, registry: Registry) -> None:
        self.context, self._ask, self._registry = context, ask, registry
        self._watchers: list[tuple[Callable[[], None], frozenset[type[Message]]]] = []
        self._names: frozenset[str] = frozenset()
        self._wanted = asyncio.Event()
        self._rows: list[Envelope] = []
        self._since, self._until = -1, -1  # the rows held are all there are between these positions
        self._behind: dict[int, int] = {}  # how many rows there were behind positions that were read up to
        self._nothing: dict[int, int] = {}  # positions of readers that are up to date, and how far there is nothing for them behind

    # ---------------------------------------------------------------- consumers

    async def tail(self, after: int, limit: int) -> Sequence[Envelope]:
        """Rows that somebody here watches for, behind a position: from memory when the reader is up to date. Raises Unavailable."""
        if self._holds(after):
            start = bisect_right(self._rows, after, key=_position)
            return self._rows[start : start + limit]
        part: LogPart = await self._ask(self.context, TailLog(context=self.context, after=after, limit=limit, names=self._names))
        if part.rows:
            self._behind = {**self._behind, part.rows[-1].position: part.behind} if len(self._behind) < READERS else {}
        else:
            self._nothing[after] = part.until
        return [self._envelope(row) for row in part.rows]

    async def count(self, kinds: Collection[type[Message]], after: int, limit: int) -> int:
        """How many rows behind a position are of these kinds, as far as is known here; of one that is not up to date, as it was told with the rows
        that it took last. Nobody is asked: whoever wants to know may have been asked by another context."""
        if not self._holds(after):
            return min(self._behind.get(after, 1), limit)
        return sum(row.position > after and type(row.message) in kinds for row in self._rows)

    def watch(self, wake: Callable[[], None], kinds: Collection[type[Message]]) -> None:
        """Has `wake` called when rows of these kinds have come; it must not block."""
        self._watchers.append((wake, frozenset(kinds)))
        if not (wanted := _names(kinds)) <= self._names:
            self._names |= wanted
            self._wanted.set()

    def unwatch(self, wake: Callable[[], None]) -> None:
        """Ends what `watch` began."""
        self._watchers = [watcher for watcher in self._watchers if watcher[0] != wake]

    async def refresh(self) -> None:
        """Takes what there is at this moment. Raises Unavailable."""
        if self._until >= 0:
            await self._take(0)

    def _holds(self, after: int) -> bool:
        """Whether all that is behind a position is held here."""
        return 0 <= self._since <= max(after, self._nothing.get(after, 0))

    # ---------------------------------------------------------------- operators

    async def head(self) -> int:
        position: int = await self._ask(self.context, FindHead(self.context))
        return position

    async def named(self, kinds: Collection[type[Message]], after: int, until: int) -> Sequence[Envelope]:
        part: LogPart = await self._ask(self.context, ReadNamed(context=self.context, after=after, until=until, names=_names(kinds)))
        return [self._envelope(row) for row in part.rows]

    async def step(self, after: int, rows: int, until: int) -> int:
        position: int = await self._ask(self.context, StepLog(context=self.context, after=after, rows=rows, until=until))
        return position

    # ---------------------------------------------------------------- following

    async def run(self) -> None:
        """Follows the log for as long as the process lives; begins anew whenever somebody wants other rows as well."""
        if not self._names:
            await self._wanted.wait()
        while True:
            self._wanted.clear()
            following = asyncio.ensure_future(self._follow())
            changed = asyncio.ensure_future(self._wanted.wait())
            try:
                await asyncio.wait({following, changed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (following, changed):
                    task.cancel()
                await asyncio.gather(following, changed, return_exceptions=True)
            if not following.cancelled() and (defect := following.exception()):
                raise defect

    async def _follow(self) -> None:
        pause = FIRST_PAUSE
        self._rows, self._since, self._until, self._nothing = [], -1, -1, {}
        while True:
            try:
                if self._until < 0:
                    self._since = self._until = await self.head()
                    self._wake(None)  # of what came in while nobody followed
                await self._take()
                pause = FIRST_PAUSE
            except Unavailable as away:
                telemetry.log.debug("a log cannot be followed", context=self.context, detail=away.detail, seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _take(self, wait: float = MOST_WAITED) -> None:
        with within(wait + PATIENCE):
            asked = TailLog(context=self.context, after=self._until, limit=AT_ONCE, names=self._names, wait=wait)
            part: LogPart = await self._ask(self.context, asked)
        if asked.after != self._until:  # somebody else has taken these rows meanwhile
            return
        rows = [self._envelope(row) for row in part.rows]
        self._rows += rows
        self._until = part.until
        if len(self._rows) > KEPT:
            self._since, self._nothing = self._rows[KEPT // 2 - 1].position, {}
            del self._rows[: KEPT // 2]
        self._wake({type(row.message) for row in rows})

    def _wake(self, kinds: Collection[type[Message]] | None) -> None:
        for wake, wanted in self._watchers:
            if kinds is None or not wanted.isdisjoint(kinds):
                wake()

    def _envelope(self, row: SentRow) -> Envelope:
        message = self._registry.decode(row.name, bytes(row.data))
        return Envelope(row.position, f"{self.context}/{row.stream}/{row.version}", self.context, row.stream, row.version, message, row.meta, row.at)


class Waiting:
    """Readers of other processes that wait for rows; they are sent home when this process ends."""

    def __init__(self) -> None:
        self.over = False
        self._readers: set[asyncio.Event] = set()

    @contextmanager
    def reader(self) -> Iterator[asyncio.Event]:
        grown = asyncio.Event()
        self._readers.add(grown)
        try:
            yield grown
        finally:
            self._readers.discard(grown)

    def end(self) -> None:
        self.over = True
        for grown in self._readers:
            grown.set()


class OpenLog:
    """A log of this process, read by others."""

    def __init__(self, log: Log, registry: Registry, waiting: Waiting) -> None:
        self._log, self._registry, self._waiting = log, registry, waiting

    async def tail(self, query: TailLog) -> LogPart:
        """Waits, if it is to, for rows that are wanted, and for as long as that takes at most."""
        kinds = self._kinds(query.names)
        part = await self._look(query, kinds)
        if not query.wait:
            return LogPart(part.rows, part.until, await self._log.count(kinds, part.until, FAR) if part.rows else 0)
        if part.rows:
            return part
        with self._waiting.reader() as grown:
            self._log.watch(grown.set, kinds)
            try:
                async with asyncio.timeout(min(query.wait, MOST_WAITED)):
                    return await self._wanted(msgspec.structs.replace(query, after=part.until), kinds, grown)
            except TimeoutError:
                return part
            finally:
                self._log.unwatch(grown.set)

    async def named(self, query: ReadNamed) -> LogPart:
        return LogPart(tuple(_sent(row) for row in await self._log.named(self._kinds(query.names), query.after, query.until)), query.until)

    async def head(self, _: FindHead) -> int:
        return await self._log.head()

    async def step(self, query: StepLog) -> int:
        return await self._log.step(query.after, query.rows, query.until)

    async def _wanted(self, query: TailLog, kinds: Collection[type[Message]], grown: asyncio.Event) -> LogPart:
        pause = SOONEST
        while True:
            grown.clear()
            if self._waiting.over:
                raise Unavailable("this process is closing")
            part = await self._look(query, kinds)
            if part.rows:
                return part
            query = msgspec.structs.replace(query, after=part.until)
            if self._log.reaches > part.until:  # there is more, but not settled yet
                await asyncio.sleep(pause)
                pause = min(pause * 2, LATEST)
            else:
                await grown.wait()
                pause = SOONEST

    async def _look(self, query: TailLog, kinds: Collection[type[Message]]) -> LogPart:
        """The first wanted rows, however many others stand before them."""
        found, until = list[SentRow](), query.after
        while rows := await self._log.tail(until, query.limit):
            found += [_sent(row) for row in rows if type(row.message) in kinds]
            until = rows[-1].position
            if found:
                break
        return LogPart(tuple(found), until)

    def _kinds(self, names: Collection[str]) -> frozenset[type[Message]]:
        return frozenset(kind for name in names if (kind := self._registry.find(name)))


def _names(kinds: Collection[type[Message]]) -> frozenset[str]:
    return frozenset(kind.NAME for kind in kinds)


def _sent(row: Envelope) -> SentRow:
    return SentRow(row.position, row.stream, row.version, row.message.NAME, msgspec.Raw(encode(row.message)), row.meta, row.at)
