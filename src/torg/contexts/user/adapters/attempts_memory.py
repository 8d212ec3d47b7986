"""Wrong passwords, counted in memory: a restart forgives, and a fleet of n processes allows n times as many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from torg.contexts.user.model.attempts import FORGOTTEN_AFTER, pause

KEPT = 100_000  # keys; the longest untouched ones give way


@dataclass
class _Count:
    failures: int
    last: datetime
    paused_until: datetime


class MemoryAttempts:
    """Implements Attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._counts: dict[str, _Count] = {}
        self._kept = kept

    async def paused_for(self, keys: Iterable[str], now: datetime) -> float:
        counts = [self._counts[key] for key in keys if key in self._counts]
        return max([0.0, *((count.paused_until - now).total_seconds() for count in counts)])

    async def failed(self, free: Mapping[str, int], now: datetime) -> float:
        wait = await self.paused_for(free, now)
        if not wait:
            for key, freely in free.items():
                self._count(key, freely, now)
        return wait

    async def forget(self, key: str) -> None:
        self._counts.pop(key, None)

    def _count(self, key: str, free: int, now: datetime) -> None:
        before = self._counts.pop(key, None)
        failures = before.failures + 1 if before and now - before.last < FORGOTTEN_AFTER else 1
        self._counts[key] = _Count(failures, now, now + pause(failures, free))
        if len(self._counts) > self._kept:
            del self._counts[next(iter(self._counts))]
