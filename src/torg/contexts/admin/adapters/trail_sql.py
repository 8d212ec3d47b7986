"""The audit trail over SQL, each line of it sealed with a digest over itself and all lines before it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

import msgspec

from torg.contexts.admin.contracts import AuditEntry, AuditFiled, AuditPage, AuditVerdict, RecordAudit
from torg.kit.messages import encode
from torg.kit.pages import after_number, cut
from torg.kit.sql import Row
from torg.kit.sql.parts import where
from torg.kit.store import Store, Transaction
from torg.kit.values import moment, stamp

CHAIN: Final = "audit trail"
"""The stream of the log that repeats the digests."""
AT_ONCE: Final = 500
TOLD: Final = 20
SEALED: Final = ("number", "at", "actor", "roles", "method", "route", "path", "object", "status", "request_id", "client", "before", "after")
"""What of a line its digest is over, in this order; and over `by_right`, which older lines have not."""
_NAMES: Final = (*SEALED, "by_right")
_INSERT = f"insert into audit ({', '.join(_NAMES)}, digest) values ({', '.join(':' + name for name in _NAMES)}, :digest)"


class SqlTrail:
    """Implements Trail. `secret` is the shop's, or several of them (new,old): who has the database alone can't forge a digest."""

    def __init__(self, store: Store, secret: str) -> None:
        self._store, self._keys = store, [sha256(b"torg.audit:" + part.strip().encode()).digest() for part in secret.split(",")]

    async def add(self, tx: Transaction, record: RecordAudit) -> None:
        await tx.claim(CHAIN)
        last = await tx.one("select number, digest from audit where number > 0 order by number desc limit 1")
        line = {**msgspec.structs.asdict(record), "roles": encode(record.roles).decode(), "at": stamp(self._store.clock())}
        line["number"] = last["number"] + 1 if last else 1
        digest = _digest(self._keys[0], last["digest"] if last else "", line)
        await tx.execute(_INSERT, **line, digest=digest)
        await tx.append(CHAIN, [AuditFiled(line["number"], digest)])

    async def page(self, actor: str, about: str, cursor: str, limit: int) -> AuditPage:
        before, _ = after_number(cursor)
        wanted = where(("actor = :actor", actor), ("object = :about", about), ("id < :older", True))
        rows = await self._store.database.all(
            f"select * from audit where {wanted} order by id desc limit :limit", actor=actor, about=about, older=before, limit=limit + 1
        )
        entries, more = cut(rows, limit, _entry, "id")
        return AuditPage(tuple(entries), more)

    async def verify(self, kept: str) -> AuditVerdict:
        logged = [row.message.digest for row in await self._store.log.stream(CHAIN) if isinstance(row.message, AuditFiled)]
        number, digest, faults, found = 0, "", list[str](), not kept
        while rows := await self._portion(number):
            for row in rows:
                faults += self._faults(row, number, digest, logged)
                number, digest, found = row["number"], row["digest"], found or row["digest"] == kept
        if number < len(logged):
            faults.append(f"lines {number + 1} to {len(logged)} are missing: the log of admin has them")
        if not found:
            faults.append("no line has the digest that was kept: the trail was written anew")
        return AuditVerdict(holds=not faults, entries=number, head=digest, faults=tuple(faults[:TOLD]))

    async def _portion(self, after: int) -> Sequence[Row]:
        return await self._store.database.all("select * from audit where number > :after order by number limit :limit", after=after, limit=AT_ONCE)

    def _faults(self, row: Row, before: int, digest: str, logged: Sequence[str]) -> Sequence[str]:
        number = row["number"]
        if number != before + 1:
            return [f"line {before + 1} is missing"] if number == before + 2 else [f"lines {before + 1} to {number - 1} are missing"]
        line = {name: row[name] for name in _NAMES}
        if not any(hmac.compare_digest(_digest(key, digest, line), row["digest"]) for key in self._keys):
            return [f"line {number} ({row['method']} {row['path']} by {row['actor']} at {row['at']}) is not as it was filed, or the line before it isn't"]
        if number > len(logged) or logged[number - 1] != row["digest"]:
            return [f"line {number} ({row['method']} {row['path']} by {row['actor']} at {row['at']}) is not the one that the log of admin tells of"]
        return []


def _digest(key: bytes, before: str, line: dict[str, object]) -> str:
    """HMAC-SHA256 (RFC 2104) over the digest before it and the line."""
    sealed = [before, *(line[name] for name in SEALED), *([line["by_right"]] if line["by_right"] else [])]
    return hmac.new(key, encode(sealed), sha256).hexdigest()


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=str(row["id"]), at=moment(row["at"]), actor=row["actor"], roles=msgspec.json.decode(row["roles"], type=tuple[str, ...]), method=row["method"],
        route=row["route"], path=row["path"], object=row["object"], status=row["status"], request_id=row["request_id"], client=row["client"],
        before=_document(row["before"]), after=_document(row["after"]), by_right=row["by_right"],
    )  # fmt: skip


def _document(text: str) -> msgspec.Raw | None:
    return msgspec.Raw(text.encode()) if text else None
