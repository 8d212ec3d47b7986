"""Answers kept at the edge, as the bytes that were sent."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from torg.kit.http.request import Headers

Key = tuple[str, bytes, bool]
"""Path, query, and whether Russian was asked for."""
BESIDES = 1024  # bytes that an answer takes besides its body and its key
CONTROL, TAGS = b"torg-cache-control", b"torg-cache-tags"
"""How a gateway may keep an answer, and what that depends on: told where a request asks for it, and to nobody else (RFC 9213)."""
FOR_GATEWAY = "torg.for_gateway"
"""Where in a scope stands that a gateway asks in order to keep the answer: it wants a new one."""


@dataclass(slots=True, frozen=True)
class Kept:
    body: bytes
    headers: Headers
    etag: bytes
    until: float
    stats: object


@dataclass(frozen=True, slots=True)
class Keeping:
    """How an answer may be kept: for so many seconds at most, until one of its tags is purged; `stats` count who gets it."""

    seconds: float
    tags: tuple[str, ...]
    stats: object


Make = Callable[[], Awaitable[Kept | None]]
"""Makes an answer; None for one that is not to be kept."""


class Flight:
    """An answer that is being made; `purged` once it depends on what has changed since."""

    __slots__ = ("landed", "purged", "tags")

    def __init__(self, tags: tuple[str, ...]) -> None:
        self.tags, self.purged = tags, False
        self.landed: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()


class ResponseCache:
    """The `size` newest answers, as far as `room` bytes hold them, each for its time or until one of its tags is purged. Of those who ask for one at the same
    time, one makes it."""

    def __init__(self, size: int = 4096, room: int = 64 << 20) -> None:
        self._size, self._room = size, room
        self._kept: OrderedDict[Key, tuple[Kept, tuple[str, ...]]] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}
        self._flights: dict[Key, Flight] = {}

    async def fetch(self, key: Key, keeping: Keeping, make: Make) -> Kept | None:
        """The answer that somebody else is making just now, or what `make` gives, kept from now on. None: everybody makes their own."""
        if (under_way := self._flights.get(key)) is not None:
            return await asyncio.shield(under_way.landed)
        flight = self._flights[key] = Flight(keeping.tags)
        kept: Kept | None = None
        try:
            kept = await self._obtain(key, keeping, make, flight)
        finally:
            flight.landed.set_result(kept)
            if self._flights.get(key) is flight:
                del self._flights[key]
        return kept

    async def _obtain(self, key: Key, keeping: Keeping, make: Make, flight: Flight) -> Kept | None:
        kept = await make()
        if kept is not None and not flight.purged:  # else it may have been made of what was there before
            self.put(key, kept, keeping.tags)
        return kept

    def get(self, key: Key) -> Kept | None:
        found = self._kept.get(key)
        if found is None or found[0].until < time.monotonic():
            return None
        return found[0]

    def put(self, key: Key, kept: Kept, tags: Iterable[str]) -> None:
        self._forget(key)
        self._kept[key] = kept, tuple(tags)
        self._room -= _weight(key, kept)
        for tag in self._kept[key][1]:
            self._tagged.setdefault(tag, set()).add(key)
        while len(self._kept) > self._size or self._room < 0:
            self._forget(next(iter(self._kept)))

    def purge(self, *tags: str) -> None:
        """Forgets every answer that depends on one of these; who asks from now on gets none that was begun before."""
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                self._forget(key)
        for key, flight in tuple(self._flights.items()):
            if not flight.purged and not set(tags).isdisjoint(flight.tags):
                flight.purged = True
                del self._flights[key]

    def clear(self) -> None:
        """Forgets all answers, those that are being made included."""
        for key in tuple(self._kept):
            self._forget(key)
        for flight in self._flights.values():
            flight.purged = True
        self._flights.clear()

    def _forget(self, key: Key) -> None:
        kept, tags = self._kept.pop(key, (None, ()))
        if kept is None:
            return
        self._room += _weight(key, kept)
        for tag in tags:
            self._tagged[tag].discard(key)
            if not self._tagged[tag]:
                del self._tagged[tag]


def _weight(key: Key, kept: Kept) -> int:
    return len(kept.body) + len(key[0]) + len(key[1]) + BESIDES
