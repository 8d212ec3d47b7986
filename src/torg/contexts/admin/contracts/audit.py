"""The audit trail."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Limit


@message("admin.record_audit")
class RecordAudit(Command[None], frozen=True, kw_only=True):
    """Somebody of the staff asked for a change; `status` says what came of it. `object` is whom or what it was about, empty where nothing says so; `by_right`
    the right that it takes; `client` the program or the API key that asked for them."""

    actor: str
    roles: tuple[str, ...]
    method: str
    route: str
    path: str
    object: str
    status: int
    request_id: str
    client: str = ""
    before: str = ""
    after: str = ""
    by_right: str = ""


@message("admin.audit_filed")
class AuditFiled(Event, frozen=True):
    """The trail has a line more; `digest` is over it and all before it. Whoever takes lines from the trail has to take them from the log as well."""

    number: int
    digest: str


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the trail; `actor` is a user's id, `roles` what they had at that time, `by_right` the right that it took, `client` the program or the API key
    that acted for them. `before` and `after` have the fields that differ of what it was about, or what was answered; null where there is nothing to tell."""

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
    client: str
    before: msgspec.Raw | None
    after: msgspec.Raw | None
    by_right: str = ""


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


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the trail: `entries` were looked at, of which each carries a digest of itself and all before it. `head` is the last one's: kept elsewhere,
    it proves later that nothing before it was changed."""

    holds: bool
    entries: int
    head: str
    faults: tuple[str, ...]


@message("admin.verify_audit")
class VerifyAudit(Query[AuditVerdict], frozen=True):
    """Reads the whole trail, and says whether lines were changed, put in or taken out since they were filed. `kept` is a digest that was told earlier: the
    trail has to have it still."""

    kept: str = ""
