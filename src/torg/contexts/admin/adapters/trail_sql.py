"""The audit trail over SQL."""

from __future__ import annotations

import msgspec

from torg.contexts.admin.contracts import AuditEntry, AuditPage, RecordAudit
from torg.kit.messages import encode
from torg.kit.pages import after_number, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

_INSERT = """insert into audit (at, actor, roles, method, route, path, object, status, request_id)
    values (:at, :actor, :roles, :method, :route, :path, :object, :status, :request_id)"""


class SqlTrail:
    """Implements Trail."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, tx: Transaction, record: RecordAudit) -> None:
        await tx.execute(_INSERT, **{**msgspec.structs.asdict(record), "roles": encode(record.roles).decode(), "at": stamp(self._clock())})

    async def page(self, actor: str, about: str, cursor: str, limit: int) -> AuditPage:
        before, _ = after_number(cursor)
        wanted = where(("actor = :actor", actor), ("object = :about", about), ("id < :before", True))
        rows = await self._database.all(
            f"select * from audit where {wanted} order by id desc limit :limit", actor=actor, about=about, before=before, limit=limit + 1
        )
        entries, more = cut(rows, limit, _entry, "id")
        return AuditPage(tuple(entries), more)


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=str(row["id"]), at=moment(row["at"]), actor=row["actor"], roles=msgspec.json.decode(row["roles"], type=tuple[str, ...]), method=row["method"],
        route=row["route"], path=row["path"], object=row["object"], status=row["status"], request_id=row["request_id"],
    )  # fmt: skip
