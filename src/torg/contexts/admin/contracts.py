"""What operators ask: the audit trail, dead letters, consumers, logs, and whether everything holds that must hold."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.auditing import Come, Remedy
from torg.kit.messages import Command, Query, message
from torg.kit.values import Limit

# ---------------------------------------------------------------- audit


@message("admin.record_audit")
class RecordAudit(Command[None], frozen=True, kw_only=True):
    """Somebody of the staff asked for a change; `status` says what came of it. `object` is whom or what it was about, empty where nothing says so."""

    actor: str
    roles: tuple[str, ...]
    method: str
    route: str
    path: str
    object: str
    status: int
    request_id: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the trail; `actor` is a user's id, `roles` what they had at that time."""

    id: str
    at: datetime
    actor: str
    roles: tuple[str, ...]
    method: str
    route: str
    path: str
    object: str
    status: int
    request_id: str


class AuditPage(msgspec.Struct, frozen=True):
    items: tuple[AuditEntry, ...]
    next_cursor: str | None


@message("admin.list_audit")
class ListAudit(Query[AuditPage], frozen=True, kw_only=True):
    """Newest first; of one actor (a user's id) or about one object."""

    actor: str = ""
    object: str = ""
    cursor: str = ""
    limit: Limit = 24


# ---------------------------------------------------------------- dead letters and consumers


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a consumer gave up on after its last try at `failed_at`. `message_id` is its row of the source's log."""

    id: str
    context: str
    consumer: str
    source: str
    message_id: str
    name: str
    stream: str
    attempts: int
    error: str
    failed_at: datetime


class DeadLetterPage(msgspec.Struct, frozen=True):
    items: tuple[DeadLetter, ...]
    next_cursor: str | None


@message("admin.list_dead_letters")
class ListDeadLetters(Query[DeadLetterPage], frozen=True, kw_only=True):
    """Of all contexts, newest first."""

    cursor: str = ""
    limit: Limit = 24


@message("admin.redrive_dead_letter")
class RedriveDeadLetter(Command[DeadLetter], frozen=True):
    """Has a dead letter handled anew, from its first try; answers with how it was. Raises NotFound `dead_letter.not_found`."""

    dead_letter_id: str


class Redriven(msgspec.Struct, frozen=True):
    """How many messages will be handled anew."""

    redriven: int


@message("admin.redrive_dead_letters")
class RedriveDeadLetters(Command[Redriven], frozen=True, kw_only=True):
    """Has all dead letters of a consumer, of messages of a name, or of both handled anew, each stream's in their order. Raises Invalid where neither is
    named."""

    IDEMPOTENT = True

    consumer: str = ""
    name: str = ""


class ConsumerView(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer and how many rows of each source it has yet to handle (counted up to 10,000). `failed` wait for another try, `dead` for an operator."""

    context: str
    name: str
    lags: dict[str, int]
    failed: int
    dead: int


class Consumers(msgspec.Struct, frozen=True):
    items: tuple[ConsumerView, ...]
    next_cursor: str | None = None


@message("admin.list_consumers")
class ListConsumers(Query[Consumers], frozen=True):
    """Every consumer of this process."""


# ---------------------------------------------------------------- logs


class LoggedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a context's log; `cause` is the message it came from, `actor` and `request_id` who asked."""

    id: str
    context: str
    position: int
    stream: str
    version: int
    name: str
    at: datetime
    data: msgspec.Raw
    cause: str
    actor: str
    request_id: str


class LogPage(msgspec.Struct, frozen=True):
    items: tuple[LoggedMessage, ...]
    next_cursor: str | None


@message("admin.browse_log")
class BrowseLog(Query[LogPage], frozen=True, kw_only=True):
    """A context's log, newest first. Looking for a name alone goes through 20,000 rows a page: it may be short, or empty, and yet not the last.
    Raises NotFound `context.not_found`."""

    context: str = "order"
    stream: str = ""
    name: str = ""
    cursor: str = ""
    limit: Limit = 24


# ---------------------------------------------------------------- what must hold


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
