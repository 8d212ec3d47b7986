"""Where a consumer gets its rows from: the logs of its own process, or a broker's topics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torg.kit.messages import Envelope, Message

Positions = Callable[[], Awaitable[Mapping[str, int]]]
"""Reads how far the consumer's own store says that it has come: a position for each source that it has seen."""


@dataclass(frozen=True)
class Batch:
    """Rows that follow one another in a source. `source` is what the position is filed under: a context's log ("order") or a topic's partition
    ("order/3"); `position` is where to go on once the batch has taken effect, `rows` those that the consumer may want, oldest first."""

    source: str
    rows: Sequence[Envelope]
    position: int


class Feed(Protocol):
    """One consumer's supply. Rows come at least once, each stream's in order."""

    async def open(self, kinds: Collection[type[Message]], positions: Positions) -> None:
        """Begins where `positions` says, and reads them anew for each source that is handed to this instance later on."""
        ...

    async def take(self, seconds: float | None) -> list[Batch]:
        """What there is now, at most one batch a source; waits for it when there is nothing, `seconds` at most (None: as long as it takes).
        Empty when that time is over or somebody called `wake`. Raises Unavailable while the broker is away."""
        ...

    def took(self, batch: Batch) -> None:
        """The batch's effects and position are durable: it need not come again."""
        ...

    async def again(self) -> None:
        """Goes back to the stored positions: something taken has not had its effect."""
        ...

    def wake(self) -> None:
        """Ends a `take` that waits."""
        ...

    def reassigned(self) -> bool:
        """Whether sources came or went since the last time this was asked: what the consumer remembers of its streams is stale then."""
        ...

    async def lag(self) -> dict[str, int]:
        """Rows of each source that are still to be taken (of the kinds wanted, where the source can tell)."""
        ...

    async def close(self) -> None: ...
