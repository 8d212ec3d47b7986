"""Answers kept at the edge, as the bytes that were sent."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from torg.kit.http.request import Headers

Key = tuple[str, bytes, bool]
"""Path, query, and whether Russian was asked for."""
BESIDES = 1024  # bytes that an answer takes besides its body and its key


@dataclass(slots=True, frozen=True)
class Kept:
    body: bytes
    headers: Headers
    etag: bytes
    until: float
    stats: object


class ResponseCache:
    """The `size` newest answers, as far as `room` bytes hold them, each for its time or until one of its tags is purged."""

    def __init__(self, size: int = 4096, room: int = 64 << 20) -> None:
        self._size, self._room = size, room
        self._kept: OrderedDict[Key, tuple[Kept, tuple[str, ...]]] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}

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
        """Forgets every answer that depends on one of these."""
        for tag in tags:
            for key in tuple(self._tagged.get(tag, ())):
                self._forget(key)

    def clear(self) -> None:
        for key in tuple(self._kept):
            self._forget(key)

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
