"""Counts in memory: a restart forgives, and n processes allow n times as much."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from torg.kit.limits.model import DECIDE, Standing, State
from torg.kit.limits.ports import Claim
from torg.kit.limits.slots import Slot, Slots

KEPT = 100_000  # callers, each with its limit; the longest unseen give way


class MemoryLimiter:
    """Implements Limiter."""

    def __init__(self, now: Callable[[], float] = time.monotonic, kept: int = KEPT) -> None:
        self._now, self._kept = now, kept
        self._states: dict[tuple[str, str], State] = {}
        self._slots = Slots()

    async def take(self, claims: Sequence[Claim], slot: Slot | None = None) -> list[Standing]:
        now, states = self._now(), self._states
        standings: list[Standing] = []
        after: list[State] = []
        for limit, key in claims:
            state, standing = DECIDE[limit.algorithm](limit, states.get((limit.name, key)), now)
            after.append(state)
            standings.append(standing)
        if slot is not None:
            standings.append(standing_of(self._slots.free(slot)))
        passed = all(standing.passed for standing in standings)
        for (limit, key), state, standing in zip(claims, after, standings, strict=False):
            if passed or not standing.passed:  # of a refusal what is kept is the time, which may have gone back
                states.pop((limit.name, key), None)  # the last seen stands last
                states[limit.name, key] = state
        while len(states) > self._kept:
            del states[next(iter(states))]
        if slot is not None and passed:
            self._slots.take(slot)
        return standings

    def leave(self, slot: Slot) -> None:
        self._slots.leave(slot)

    async def run(self) -> None:
        """There are no others."""


def standing_of(free: int) -> Standing:
    """Of somebody for one of whose requests so many places are free."""
    return Standing(free > 0, max(0, free - 1), 0.0, 0.0)
