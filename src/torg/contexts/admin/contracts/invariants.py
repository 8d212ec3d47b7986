"""Whether everything holds that must hold."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.auditing import Come, Remedy
from torg.kit.messages import Query, message


class LogPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a log, and the page that begins with it. Without a position it is in no log (any more)."""

    context: str
    stream: str
    version: int
    name: str
    position: int
    at: datetime | None
    page: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can do: on a page, or with a command; `runbook` is the entry that says more. The action `ask` is a developer's."""

    action: Remedy
    text: str
    page: str
    command: str
    runbook: str


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not hold: a sentence with the figures; what it is about by kind and id, and the page that shows that; the row since which it
    does not hold (unless `began_exactly`: not before which; without a row nobody can tell), with a `note` that says why or more; and what mends it."""

    sentence: str
    about: str
    id: str
    page: str
    began: LogPlace | None
    began_exactly: bool
    note: str
    remedy: Advice


class InvariantReport(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something that must always hold does. `violations` are sentences, the first twenty, and `details` say more of each. `seconds` is how long
    the check kept its process busy. `come`: how far it has come with what is old, where it looks at a slice of that each time."""

    name: str
    context: str
    sentence: str
    holds: bool
    violations: tuple[str, ...]
    checked_at: datetime
    seconds: float
    details: tuple[Violation, ...] = ()
    come: Come | None = None


class InvariantReports(msgspec.Struct, frozen=True):
    """`taken_at`, `seconds`: when these were looked at, and how long that kept processes busy; the job `rests` so many seconds until it looks again."""

    items: tuple[InvariantReport, ...]
    taken_at: datetime | None = None
    seconds: float = 0
    rests: float = 0


@message("admin.get_invariants")
class GetInvariants(Query[InvariantReports], frozen=True):
    """All invariants of all contexts, checked anew unless that was done within the last second; or, with `anew` false, as they were found last. What sagas
    are still at work on, or consumers still on their way to, is no violation; where only time can tell, a doubt counts once it has lasted fifteen seconds."""

    anew: bool = True
