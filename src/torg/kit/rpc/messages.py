"""What the processes of a fleet ask each other about logs, desks and descriptions. No part of any context's contract."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.auditing import Inspected
from torg.kit.bus.failures import FailedMessage
from torg.kit.messages import Command, Meta, Query, message
from torg.kit.operations import LogPage, LogRow, OverdueSaga, Progress

MOST_WAITED = 25.0  # seconds


class SentRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of a log; `data` is the message as it is kept."""

    position: int
    stream: str
    version: int
    name: str
    data: msgspec.Raw
    meta: Meta
    at: datetime


class LogPart(msgspec.Struct, frozen=True):
    """Rows that were asked for, the position up to which there are no others, and how many there are behind it where that was counted."""

    rows: tuple[SentRow, ...]
    until: int
    behind: int = 0


@message("log.tail")
class TailLog(Query[LogPart], frozen=True, kw_only=True):
    """Rows of these names behind a position. Without any it waits for one, so many seconds at most."""

    WAITS = True

    context: str
    after: int
    limit: int
    names: frozenset[str]
    wait: float = 0


@message("log.named")
class ReadNamed(Query[LogPart], frozen=True, kw_only=True):
    """Rows of these names behind `after`, up to and including `until`."""

    context: str
    after: int
    until: int
    names: frozenset[str]


@message("log.head")
class FindHead(Query[int], frozen=True):
    """A log's newest position."""

    context: str


@message("log.step")
class StepLog(Query[int], frozen=True, kw_only=True):
    """The position of the last of so many rows behind `after`, `until` at most."""

    context: str
    after: int
    rows: int
    until: int


@message("desk.failed")
class ListFailed(Query[tuple[FailedMessage, ...]], frozen=True):
    context: str
    dead: bool | None = None


@message("desk.redrive")
class Redrive(Command[None], frozen=True):
    context: str
    consumer: str
    id: str


@message("desk.redrive_all")
class RedriveAll(Command[int], frozen=True):
    context: str
    consumer: str
    name: str


@message("desk.progress")
class GetProgress(Query[tuple[Progress, ...]], frozen=True):
    context: str


@message("desk.settled")
class IsSettled(Query[bool], frozen=True):
    """Whether every consumer of the context has handled all that there is for it at this moment."""

    context: str


@message("desk.browse")
class Browse(Query[LogPage], frozen=True, kw_only=True):
    context: str
    stream: str
    name: str
    before: int
    limit: int


@message("desk.rows")
class ReadRows(Query[tuple[LogRow, ...]], frozen=True, kw_only=True):
    """Oldest first: of a stream behind a version; without a stream, behind a position."""

    context: str
    stream: str
    after: int
    limit: int


@message("desk.torn")
class FindTorn(Query[tuple[str, ...]], frozen=True, kw_only=True):
    context: str
    after: int
    until: int


@message("desk.missing")
class CountMissing(Query[int], frozen=True):
    context: str
    stream: str


@message("desk.overdue")
class FindOverdue(Query[tuple[OverdueSaga, ...]], frozen=True):
    context: str
    before: datetime


@message("desk.inspect")
class Inspect(Query[tuple[Inspected, ...]], frozen=True):
    """Has the context's invariants looked at."""

    context: str


@message("api.describe")
class DescribeApi(Query[msgspec.Raw], frozen=True):
    """The part of the API's description (OpenAPI) that the routes of this process make."""


class ChangedTags(msgspec.Struct, frozen=True):
    """Tags of kept answers that are out of date, and the position up to which there are no others."""

    tags: tuple[str, ...]
    until: int


@message("answers.changed")
class FollowChanges(Query[ChangedTags], frozen=True, kw_only=True):
    """What a context's log has made out of date behind a position; without anything it waits, so many seconds at most. Behind -1: nothing, and where the
    log ends now."""

    WAITS = True

    context: str
    after: int
    wait: float = 0


@message("answers.purge")
class PurgeAnswers(Command[None], frozen=True):
    """Has the edge forget the answers that it keeps under these tags."""

    IDEMPOTENT = True

    tags: tuple[str, ...]
