"""Kept answers in this gateway's memory."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from torg.contexts.gateway.model.keeping import SETTLING, Kept, Key
from torg.contexts.gateway.ports import Mark
from torg.kit.http.cache import BESIDES

REMEMBERED = 120.0  # seconds for which a purge is remembered: an answer that was asked for earlier is not kept
MOST = 100_000  # purges remembered; more at once purge everything


class MemoryAnswers:
    """Implements Answers: those that were wanted last, as far as `room` bytes hold them. Each purge has a number."""

    def __init__(self, room: int, now: Callable[[], float] | None = None) -> None:
        self._room, self._size, self._clock = room, room, now or time.monotonic
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}
        self._number = 0
        self._purged: OrderedDict[str, tuple[int, float]] = OrderedDict()  # by tag, the latest last
        self._floor, self._cleared = 0, -math.inf  # of earlier purges nothing is known

    def held(self, key: Key) -> Kept | None:
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    async def seek(self, key: Key) -> tuple[Kept | None, Mark]:
        del key  # nobody shares
        return None, self.now()

    async def keep(self, key: Key, kept: Kept, since: Mark) -> bool:
        if since.number < self._floor or self.changed(kept.tags, since, self.now()):
            return False
        settled = self._settled(kept.tags)
        self._put(key, kept if since.at >= settled else kept.until(settled))
        return True

    def now(self) -> Mark:
        return Mark(self._number, self._clock())

    def changed(self, tags: Collection[str], since: Mark, until: Mark) -> bool:
        if until.number <= since.number and until.at <= since.at:
            return False
        number, at = max((self._purged[tag] for tag in tags if tag in self._purged), default=(self._floor, self._cleared))
        if number <= since.number and at + SETTLING <= since.at:
            return False
        return until.number > since.number or number > until.number or at + SETTLING <= until.at  # of several purges the last alone is remembered

    def purged_after(self, tags: Collection[str], moment: float) -> bool:
        """Whether one of these was purged later than that, as far as is remembered."""
        return self._cleared > moment or any(self._purged[tag][1] > moment for tag in tags if tag in self._purged)

    def purge(self, *tags: str) -> None:
        now = self._clock()
        self._number += 1
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                self._forget(key)
            self._purged[tag] = self._number, now
            self._purged.move_to_end(tag)
        while self._purged and next(iter(self._purged.values()))[1] < now - REMEMBERED:
            self._floor = self._purged.popitem(last=False)[1][0]
        if len(self._purged) > MOST:
            self.clear()

    def clear(self) -> None:
        self._number += 1
        self._floor, self._cleared = self._number, self._clock()
        self._purged.clear()
        for key in tuple(self._kept):
            self._forget(key)

    async def settle(self) -> None:
        """There is nobody to tell."""
        await asyncio.Event().wait()

    def counts(self) -> tuple[int, int]:
        return len(self._kept), self._size - self._room

    def _settled(self, tags: Collection[str]) -> float:
        """From when on answers know of the last change of these."""
        return SETTLING + max((self._purged[tag][1] for tag in tags if tag in self._purged), default=self._cleared)

    def _put(self, key: Key, kept: Kept) -> None:
        self._forget(key)
        self._kept[key] = kept
        self._room -= _weight(key, kept)
        for tag in kept.tags:
            self._tagged.setdefault(tag, set()).add(key)
        while self._room < 0:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self._room += _weight(key, kept)
        for tag in kept.tags:
            self._tagged[tag].discard(key)
            if not self._tagged[tag]:
                del self._tagged[tag]


def _weight(key: Key, kept: Kept) -> int:
    words = sum(len(name) + len(value) for name, value in kept.headers)
    return len(kept.body) + words + len(key.host) + len(key.path) + len(key.query) + sum(map(len, key.varied)) + BESIDES
