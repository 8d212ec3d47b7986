"""Answers kept at the edge, as the bytes that were sent."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from torg.kit.http.request import Headers

Key = tuple[str, bytes, bool]
"""Path, query, and whether Russian was asked for."""


@dataclass(slots=True, frozen=True)
class Kept:
    body: bytes
    headers: Headers
    etag: bytes
    until: float
    stats: object


class ResponseCache:
    """The `size` most recently asked-for answers, each for its time or until one of its tags is purged."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._tagged: dict[str, set[Key]] = {}

    def get(self, key: Key) -> Kept | None:
        kept = self._kept.get(key)
        if kept is None or kept.until < time.monotonic():
            return None
        return kept

    def put(self, key: Key, kept: Kept, tags: Iterable[str]) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        for tag in tags:
            self._tagged.setdefault(tag, set()).add(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        if len(self._tagged) > 4 * self._size:
            self._tagged = {tag: live for tag, keys in self._tagged.items() if (live := {key for key in keys if key in self._kept})}

    def purge(self, *tags: str) -> None:
        """Forgets every answer that depends on one of these."""
        for tag in tags:
            for key in self._tagged.pop(tag, ()):
                self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()
        self._tagged.clear()
