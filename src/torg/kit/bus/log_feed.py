"""The logs themselves as a consumer's supply: those of its own process, and those that other processes let it read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol

from torg.kit import telemetry
from torg.kit.bus.feed import Batch, Positions
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope, Message

BATCH = 256
LOOK_EVERY = 1.0  # seconds between looks at a log that others write to as well: what they tell may be lost
SOONEST, LATEST = 0.002, 0.05  # seconds between looks at rows that are not settled yet


class Followed(Protocol):
    """What a feed needs of a log."""

    @property
    def reaches(self) -> int:
        """How far the log is known to go; 0 where rows can be read as soon as they are told of."""
        ...

    shared: bool
    """Whether to look is a round trip."""

    async def tail(self, after: int, limit: int) -> Sequence[Envelope]: ...
    async def count(self, kinds: Collection[type[Message]], after: int, limit: int) -> int: ...
    def watch(self, wake: Callable[[], None], kinds: Collection[type[Message]]) -> None: ...
    def unwatch(self, wake: Callable[[], None]) -> None: ...


class LogFeed:
    """Implements Feed over logs by name. `looks` now and then by itself, where not every new row is told of."""

    def __init__(self, logs: Mapping[str, Followed], looks: bool = False) -> None:
        self._logs, self._looks = logs, looks
        self._kinds: Collection[type[Message]] = ()
        self._positions: dict[str, int] = {}
        self._stored: Positions | None = None
        self._wake = asyncio.Event()
        self._wakers = {name: partial(self._hear, name) for name in logs}
        self._told: dict[str, int] = {}  # how far rows that are wanted are known to go
        self._looked: dict[str, float] = {}  # when there was no more
        self._away: dict[str, float] = {}  # when those that can't be read just now are tried again
        self._pause = SOONEST

    async def open(self, kinds: Collection[type[Message]], positions: Positions) -> None:
        self._kinds, self._stored = kinds, positions
        await self.again()
        for name, log in self._logs.items():
            log.watch(self._wakers[name], kinds)

    async def take(self, seconds: float | None) -> list[Batch]:
        self._wake.clear()
        batches = await self._now()
        if not batches:
            await self._woken(self._patience(seconds))
            self._wake.clear()
            batches = await self._now()
        return batches

    async def _woken(self, seconds: float | None) -> None:
        """Or so many seconds later, when nobody told of anything: the caller has what it is to do meanwhile."""
        if seconds is None:
            await self._wake.wait()
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # no wait_for: Python 3.11's may lose a cancellation
                await self._wake.wait()

    def took(self, batch: Batch) -> None:
        self._positions[batch.source] = batch.position

    async def again(self) -> None:
        assert self._stored is not None, "a feed is opened first"
        self._positions = dict(await self._stored())
        self._looked.clear()

    def wake(self) -> None:
        self._wake.set()

    def reassigned(self) -> bool:
        return False

    def positions(self) -> dict[str, int]:
        return {name: self._positions.get(name, 0) for name in self._logs}

    async def lag(self) -> dict[str, int]:
        """Rows of each log that its consumer wants and has yet to handle (among the next 10,000)."""
        return {name: await log.count(self._kinds, self._positions.get(name, 0), 10_000) for name, log in self._logs.items()}

    async def close(self) -> None:
        for name, log in self._logs.items():
            log.unwatch(self._wakers[name])

    def _hear(self, name: str) -> None:
        self._told[name] = max(self._told.get(name, 0), self._logs[name].reaches)
        self._looked.pop(name, None)
        self._wake.set()

    async def _now(self) -> list[Batch]:
        batches = []
        for name, log in self._logs.items():
            if not self._may_have_more(name, log):
                continue
            self._looked[name] = time.monotonic()
            try:
                rows = await log.tail(self._positions.get(name, 0), BATCH)
            except Unavailable as away:
                if name not in self._away:
                    telemetry.log.warning("a log cannot be read; what others tell goes on", log=name, detail=away.detail)
                self._away[name] = time.monotonic() + LOOK_EVERY
                continue
            self._away.pop(name, None)
            if len(rows) == BATCH:
                self._looked.pop(name, None)
            if rows:
                batches.append(Batch(name, rows, rows[-1].position))
        if batches:
            self._pause = SOONEST
        return batches

    def _may_have_more(self, name: str, log: Followed) -> bool:
        if self._away.get(name, 0.0) > time.monotonic():
            return False
        looked = self._looked.get(name)
        return not log.shared or looked is None or self._told.get(name, 0) > self._positions.get(name, 0) or time.monotonic() > looked + LOOK_EVERY

    def _patience(self, seconds: float | None) -> float | None:
        """How long to wait for being told."""
        if any(told > self._positions.get(name, 0) for name, told in self._told.items()):
            self._pause = min(self._pause * 2, LATEST)
            return self._pause
        if self._looks or self._away:
            return min(LOOK_EVERY, seconds or LOOK_EVERY)
        return seconds
