"""What keeping answers at the gateway needs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from torg.contexts.gateway.model.keeping import Kept, Key


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment among purges: how many there had been, here and among all who share. `at`: seconds of a clock that only goes forward."""

    number: int
    at: float
    shared: bytes = b""


class Answers(Protocol):
    """Answers by what was asked, as far as there is room, each until one of its tags is purged. One that was asked for before a purge of its tags is never
    given to anybody after it; one that was asked for shortly after is not kept for long, as it may come from who has yet to hear of the change."""

    def held(self, key: Key) -> Kept | None:
        """The one at hand, however old."""
        ...

    async def seek(self, key: Key) -> tuple[Kept | None, Mark]:
        """The one that another gateway has kept, if it is still fresh; and from when on one may be made. Never fails."""
        ...

    async def keep(self, key: Key, kept: Kept, since: Mark) -> bool:
        """Keeps what was asked for after `since`, unless it may be out of date. Never fails."""
        ...

    def now(self) -> Mark: ...

    def changed(self, tags: Collection[str], since: Mark, until: Mark) -> bool:
        """Whether what was asked for at one moment may be older than a change of these that was known, and settled, at another: surely so, if it is."""
        ...

    def purge(self, *tags: str) -> None: ...

    def clear(self) -> None:
        """Purges everything."""
        ...

    async def settle(self) -> None:
        """Tells those who share what was purged here, for as long as the process lives."""
        ...

    def counts(self) -> tuple[int, int]:
        """How many answers are at hand, and how many bytes they take."""
        ...
