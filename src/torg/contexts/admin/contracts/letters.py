"""Dead letters, and where consumers are."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Command, Query, message
from torg.kit.values import Limit


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


@message("admin.get_dead_letter")
class GetDeadLetter(Query[DeadLetter], frozen=True):
    """Raises NotFound `dead_letter.not_found`."""

    dead_letter_id: str


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
