"""Wrong passwords, counted in memory: a restart forgives, and a fleet of n processes allows n times as many."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from torg.contexts.user.model import FORGOTTEN_AFTER, pause

KEPT = 100_000  # keys; the longest untouched ones give way


@dataclass
class _Count:
    failures: int
    last: datetime
    blocked_until: datetime


class MemoryAttempts:
    """Implements Attempts."""

    def __init__(self, kept: int = KEPT) -> None:
        self._counts: dict[str, _Count] = {}
        self._kept = kept

    def blocked_for(self, key: str, now: datetime) -> float:
        count = self._counts.get(key)
        return max((count.blocked_until - now).total_seconds(), 0.0) if count else 0.0

    def failed(self, key: str, free: int, now: datetime) -> None:
        before = self._counts.pop(key, None)
        failures = before.failures + 1 if before and now - before.last < FORGOTTEN_AFTER else 1
        self._counts[key] = _Count(failures, now, now + pause(failures, free))
        if len(self._counts) > self._kept:
            del self._counts[next(iter(self._counts))]

    def forget(self, key: str) -> None:
        self._counts.pop(key, None)
