"""Making tables what the log says: what is asked, what is told of each row that was other than that, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event

TOLD: Final = 200  # changes told one by one


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows were looked at, how many were not what the log says, a sentence for each of those (the first two hundred), and for each that could not
    be mended."""

    looked: int
    wrong: int
    changes: tuple[str, ...]
    left: tuple[str, ...]
    seconds: float


class Rebuild(Command[Rebuilt], frozen=True, kw_only=True):
    """Makes a context's tables what its log says, a few rows in a transaction, while others go on. With `dry_run` it only says what it would change. Every
    change is told in the log, with the reason and who asked."""

    IDEMPOTENT = True

    operator: Identity
    reason: Annotated[str, msgspec.Meta(max_length=200)] = ""
    dry_run: bool = False


class Mended(Event, frozen=True, kw_only=True):
    """A row was made what the log says: what it is (`about`, `id`), how it was and is, why, and who asked. Nothing has moved by it."""

    about: str
    id: str
    was: str
    now: str
    reason: str
    by: str


@dataclass
class Findings:
    """What a rebuild finds. Those of a transaction are added once it has ended well."""

    looked: int = 0
    changes: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def add(self, more: Findings) -> None:
        self.looked += more.looked
        self.changes += more.changes
        self.left += more.left

    def rebuilt(self, seconds: float) -> Rebuilt:
        wrong = len(self.changes) + len(self.left)
        return Rebuilt(looked=self.looked, wrong=wrong, changes=tuple(self.changes[:TOLD]), left=tuple(self.left[:TOLD]), seconds=round(seconds, 3))
