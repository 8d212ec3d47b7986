"""What contexts' logs hold."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Query, message
from torg.kit.values import Limit


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
