"""Letters on their way, over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from torg.contexts.notification.adapters.store_sql import NOTHING, read_facts
from torg.contexts.notification.model import Addressee, MailResult, QueuedMail
from torg.contexts.notification.ports import Entry, MailRecord
from torg.kit.messages import encode
from torg.kit.pages import Page, after_id, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import listed
from torg.kit.store import Transaction
from torg.kit.values import Language, moment, stamp

_DUE = """select m.id, m.user_id, m.kind, m.order_id, m.facts, m.tries, m.created_at, c.email, c.full_name, c.language, p.enabled
    from mail m left join contact c on c.user_id = m.user_id
    left join preference p on p.user_id = m.user_id and p.kind = m.kind and p.channel = m.channel
    where m.status = 'queued' and m.next_at <= :now order by m.next_at limit :limit"""
_RECORD = """select m.*, (select t.detail from mail_try t where t.mail_id = m.id order by t.number desc limit 1) as detail from mail m"""


class SqlMailStore:
    """Implements MailStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def queue(self, tx: Transaction, entry: Entry) -> None:
        await tx.execute(
            """insert into mail (id, user_id, kind, subject, order_id, facts, channel, status, tries, next_at, recipient, created_at)
               values (:id, :user_id, :kind, :subject, :order_id, :facts, 'email', 'queued', 0, :at, '', :at) on conflict do nothing""",
            id=entry.id, user_id=entry.user_id, kind=entry.kind, subject=entry.subject, order_id=entry.order_id,
            facts=encode(entry.facts).decode(), at=stamp(entry.created_at),
        )  # fmt: skip

    async def any_due(self, now: datetime) -> bool:
        return await self._database.value("select 1 from mail where status = 'queued' and next_at <= :now limit 1", now=stamp(now)) is not None

    async def claim(self, tx: Transaction, now: datetime, until: datetime, limit: int) -> Sequence[QueuedMail]:
        rows = await tx.all(_DUE, now=stamp(now), limit=limit)
        if rows:
            names, wanted = listed(row["id"] for row in rows)
            await tx.execute(f"update mail set next_at = :until where id in ({names})", until=stamp(until), **wanted)
        return [_queued(row) for row in rows]

    async def settle(self, tx: Transaction, results: Sequence[MailResult], now: datetime) -> None:
        at = stamp(now)
        await tx.execute_many(
            """update mail set status = :status, tries = :number, next_at = :next_at, recipient = :recipient,
                   facts = case when :status = 'queued' then facts else :nothing end, settled_at = case when :status = 'queued' then null else :at end
               where id = :id and status = 'queued'""",
            [
                {
                    "id": r.mail_id, "status": r.status, "number": r.number, "next_at": stamp(r.next_at), "recipient": r.recipient,
                    "at": at, "nothing": NOTHING,
                }
                for r in results
            ],
        )  # fmt: skip
        await tx.execute_many(
            "insert into mail_try (mail_id, number, at, outcome, detail) values (:id, :number, :at, :outcome, :detail) on conflict do nothing",
            [{"id": r.mail_id, "number": r.number, "at": at, "outcome": r.outcome, "detail": r.detail} for r in results],
        )

    async def page(self, user_id: str, cursor: str, limit: int) -> Page[MailRecord]:
        rows = await self._database.all(
            f"{_RECORD} where m.id < :before {'and m.user_id = :user_id' if user_id else ''} order by m.id desc limit :limit",
            user_id=user_id, before=after_id(cursor), limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _record, "id")

    async def find(self, mail_id: str) -> MailRecord | None:
        row = await self._database.one(f"{_RECORD} where m.id = :id", id=mail_id)
        return _record(row) if row else None

    async def erase(self, tx: Transaction, user_id: str) -> Sequence[str]:
        sent = await tx.all("select id from mail where user_id = :user_id and status = 'sent'", user_id=user_id)
        await tx.execute(
            """update mail set facts = :nothing, recipient = '', status = case when status = 'queued' then 'skipped' else status end
               where user_id = :user_id""",
            nothing=NOTHING, user_id=user_id,
        )  # fmt: skip
        return [row["id"] for row in sent]


def _queued(row: Row) -> QueuedMail:
    known = row["language"] is not None
    return QueuedMail(
        id=row["id"], user_id=row["user_id"], kind=row["kind"], order_id=row["order_id"], facts=read_facts(row["facts"]), tries=row["tries"],
        created_at=moment(row["created_at"]), unwanted=row["enabled"] == 0,
        addressee=Addressee(email=row["email"], full_name=row["full_name"], language=Language(row["language"])) if known else None,
    )  # fmt: skip


def _record(row: Row) -> MailRecord:
    return MailRecord(
        id=row["id"], user_id=row["user_id"], kind=row["kind"], order_id=row["order_id"], status=row["status"], tries=row["tries"],
        recipient=row["recipient"], created_at=moment(row["created_at"]), detail=row["detail"] or "",
    )  # fmt: skip
