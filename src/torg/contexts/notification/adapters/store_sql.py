"""Feeds, contacts and preferences over SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from torg.contexts.notification.contracts import Channel, Facts, Kind, NotificationAdded
from torg.contexts.notification.model import Addressee
from torg.contexts.notification.ports import Entry
from torg.contexts.payment.contracts import PaymentRedirected, PaymentRefunded
from torg.kit.auth import Role
from torg.kit.messages import Event, Message, encode
from torg.kit.pages import Page, after_id, cut
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

read_facts = msgspec.json.Decoder(Facts).decode
NOTHING = encode(Facts()).decode()  # the facts of what was erased or is settled
_EARLY: Mapping[str, type[Event]] = {kind.NAME: kind for kind in (PaymentRedirected, PaymentRefunded)}


class SqlFeedStore:
    """Implements FeedStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, tx: Transaction, entry: Entry) -> bool:
        filed = await tx.execute(
            """insert into notification (id, user_id, kind, subject, order_id, facts, created_at)
               values (:id, :user_id, :kind, :subject, :order_id, :facts, :at) on conflict do nothing""",
            id=entry.id, user_id=entry.user_id, kind=entry.kind, subject=entry.subject, order_id=entry.order_id,
            facts=encode(entry.facts).decode(), at=stamp(entry.created_at),
        )  # fmt: skip
        if filed:
            await tx.append(entry.user_id, [_added(entry)])
        return bool(filed)

    async def page(self, user_id: str, cursor: str, limit: int) -> Page[Entry]:
        rows = await self._database.all(
            "select * from notification where user_id = :user_id and id < :before order by id desc limit :limit",
            user_id=user_id, before=after_id(cursor), limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _entry, "id")

    async def unread(self, user_id: str, tx: Transaction | None = None) -> int:
        count: int = await (tx or self._database).value("select count(*) from notification where user_id = :user_id and read_at is null", user_id=user_id)
        return count

    async def mark_read(self, tx: Transaction, user_id: str, entry_id: str = "") -> bool:
        changed = await tx.execute(
            f"""update notification set read_at = coalesce(read_at, :now) where user_id = :user_id
                and {"id = :id" if entry_id else "read_at is null"}""",
            user_id=user_id, id=entry_id, now=stamp(self._clock()),
        )  # fmt: skip
        return bool(changed)

    async def buyer_of(self, tx: Transaction, order_id: str) -> str:
        return await tx.value("select user_id from notification where subject = :order_id and kind = 'order.placed'", order_id=order_id) or ""

    async def keep_early(self, tx: Transaction, order_id: str, event: Event) -> None:
        await tx.execute(
            "insert into early (order_id, name, data) values (:order_id, :name, :data) on conflict do nothing",
            order_id=order_id, name=event.NAME, data=encode(event).decode(),
        )  # fmt: skip

    async def take_early(self, tx: Transaction, order_id: str) -> Sequence[Event]:
        rows = await tx.all("select name, data from early where order_id = :order_id", order_id=order_id)
        if rows:
            await tx.execute("delete from early where order_id = :order_id", order_id=order_id)
        return [msgspec.json.decode(row["data"], type=_EARLY[row["name"]]) for row in rows]

    async def stranded(self, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            """select distinct order_id from early where exists (select 1 from notification n where n.subject = early.order_id and n.kind = 'order.placed')
               limit :limit""",
            limit=limit,
        )
        return [row["order_id"] for row in rows]

    async def erase(self, tx: Transaction, user_id: str) -> None:
        await tx.execute("update notification set facts = :nothing where user_id = :user_id", nothing=NOTHING, user_id=user_id)
        await tx.redact(user_id, _without_facts)


class SqlContactStore:
    """Implements ContactStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tx: Transaction, user_id: str, addressee: Addressee) -> None:
        await tx.execute(
            """insert into contact (user_id, email, full_name, language, roles) values (:user_id, :email, :full_name, :language, '')
               on conflict (user_id) do update set email = excluded.email, full_name = excluded.full_name, language = excluded.language""",
            user_id=user_id, email=addressee.email, full_name=addressee.full_name, language=addressee.language.value,
        )  # fmt: skip

    async def put_roles(self, tx: Transaction, user_id: str, roles: frozenset[Role]) -> None:
        await tx.execute("update contact set roles = :roles where user_id = :user_id", user_id=user_id, roles=f" {' '.join(sorted(roles))} ")

    async def with_role(self, tx: Transaction, role: Role) -> Sequence[str]:
        rows = await tx.all("select user_id from contact where roles like :role order by user_id", role=f"% {role.value} %")
        return [row["user_id"] for row in rows]

    async def erase(self, tx: Transaction, user_id: str) -> None:
        await tx.execute("update contact set email = '', full_name = '', roles = '' where user_id = :user_id", user_id=user_id)
        await tx.execute("delete from preference where user_id = :user_id", user_id=user_id)

    async def choices(self, user_id: str) -> Mapping[tuple[str, str], bool]:
        rows = await self._database.all("select kind, channel, enabled from preference where user_id = :user_id", user_id=user_id)
        return {(row["kind"], row["channel"]): bool(row["enabled"]) for row in rows}

    async def wants(self, tx: Transaction, user_id: str, kind: Kind, channel: Channel) -> bool:
        chosen = await tx.value(
            "select enabled from preference where user_id = :user_id and kind = :kind and channel = :channel",
            user_id=user_id, kind=kind, channel=channel,
        )  # fmt: skip
        return bool(chosen != 0)

    async def choose(self, tx: Transaction, user_id: str, kind: Kind, channel: Channel, wanted: bool) -> None:
        await tx.execute(
            """insert into preference (user_id, kind, channel, enabled) values (:user_id, :kind, :channel, :enabled)
               on conflict (user_id, kind, channel) do update set enabled = excluded.enabled""",
            user_id=user_id, kind=kind, channel=channel, enabled=int(wanted),
        )  # fmt: skip


def _entry(row: Row) -> Entry:
    return Entry(
        id=row["id"], user_id=row["user_id"], kind=row["kind"], subject=row["subject"], order_id=row["order_id"], facts=read_facts(row["facts"]),
        created_at=moment(row["created_at"]), read=row["read_at"] is not None,
    )  # fmt: skip


def _added(entry: Entry) -> NotificationAdded:
    return NotificationAdded(notification_id=entry.id, user_id=entry.user_id, kind=entry.kind, order_id=entry.order_id, facts=entry.facts)


def _without_facts(event: Message) -> Message:
    return msgspec.structs.replace(event, facts=Facts()) if isinstance(event, NotificationAdded) else event
