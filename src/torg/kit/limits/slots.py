"""How many requests somebody has under way at the same time."""

from __future__ import annotations

from typing import final


@final
class Slot:
    """A place for one request of somebody who may have so many at the same time."""

    __slots__ = ("most", "who")

    def __init__(self, who: str, most: int) -> None:
        self.who, self.most = who, most


class Slots:
    """Those that are taken in this process."""

    def __init__(self) -> None:
        self._taken: dict[str, set[Slot]] = {}

    def free(self, slot: Slot) -> int:
        """How many more of its owner's may be under way, itself included."""
        return slot.most - len(self._taken.get(slot.who, ()))

    def take(self, slot: Slot) -> None:
        self._taken.setdefault(slot.who, set()).add(slot)

    def leave(self, slot: Slot) -> bool:
        """Whether it was taken."""
        taken = self._taken.get(slot.who)
        if taken is None or slot not in taken:
            return False
        taken.discard(slot)
        if not taken:
            del self._taken[slot.who]
        return True
