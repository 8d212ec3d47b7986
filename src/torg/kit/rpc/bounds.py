"""What one client may take of a server, whatever it asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a request's line and headers: bytes, their count, and the time from the first byte to the last. Of a body: bytes, and `body_rate` bytes a second
    over every `body_seconds` that it takes longer. Of a connection: seconds between two requests."""

    head_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 1 << 16
    head_count: Positive = 200
    head_seconds: Seconds = 30.0
    body_bytes: Positive = 1 << 30
    body_seconds: Seconds = 60.0
    body_rate: Annotated[int, msgspec.Meta(ge=0)] = 0
    idle_seconds: Seconds = 75.0  # longer than clients keep theirs


class Crowd:
    """Everybody who has a connection: `most` of them, and `most_each`. `counted_by` tells those apart that are counted together; None for one who may have
    as many as there are."""

    def __init__(self, most: int, most_each: int, counted_by: Callable[[str], str | None]) -> None:
        self._most, self._most_each, self._counted_by = most, most_each, counted_by
        self._all = 0
        self._each: dict[str, int] = {}

    def enter(self, client: str) -> bool:
        """Whether there is room for one more connection; who has entered has to leave."""
        who = self._counted_by(client)
        has = self._each.get(who, 0) if who is not None else 0
        if self._all >= self._most or has >= self._most_each:
            return False
        self._all += 1
        if who is not None:
            self._each[who] = has + 1
        return True

    def leave(self, client: str) -> None:
        who = self._counted_by(client)
        self._all -= 1
        if who is None:
            return
        if left := self._each[who] - 1:
            self._each[who] = left
        else:
            del self._each[who]
