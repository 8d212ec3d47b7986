"""Where it is kept who has asked how often, and how much of theirs is under way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torg.kit.limits.model import Limit, Standing
from torg.kit.limits.slots import Slot

Claim = tuple[Limit, str]
"""A limit, and who is to be counted by it."""


class Limiter(Protocol):
    async def take(self, claims: Sequence[Claim], slot: Slot | None = None) -> list[Standing]:
        """Counts one request by all of these limits, and gives it the slot, or neither where one of them refuses it; the standings are in the claims' order,
        and the slot's comes last. Raises Unavailable: then the slot is taken as far as this process can tell."""
        ...

    def leave(self, slot: Slot) -> None:
        """The request is over; does nothing where it had no slot."""
        ...

    async def run(self) -> None:
        """Keeps others informed of what is under way here, for as long as the process lives."""
        ...
