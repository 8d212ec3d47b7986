"""Links that letters carry, over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from torg.contexts.user.contracts import Purpose
from torg.contexts.user.model.links import OneTimeLink
from torg.kit.sql import Database
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp


class SqlLinkStore:
    """Implements LinkStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tx: Transaction, link: OneTimeLink) -> None:
        await self.drop(tx, link.user_id, link.purpose)
        await tx.execute(
            """insert into one_time_link (hash, user_id, purpose, email, made_at, expires_at)
               values (:hash, :user_id, :purpose, :email, :made_at, :expires_at)""",
            hash=link.hash, user_id=link.user_id, purpose=link.purpose, email=link.email, made_at=stamp(link.made_at), expires_at=stamp(link.expires_at),
        )  # fmt: skip

    async def take(self, tx: Transaction, hashed: str, purpose: Purpose, now: datetime) -> OneTimeLink | None:
        row = await tx.one("select * from one_time_link where hash = :hash and purpose = :purpose", hash=hashed, purpose=purpose)
        if row is None or not await tx.execute("delete from one_time_link where hash = :hash", hash=hashed) or moment(row["expires_at"]) <= now:
            return None
        return OneTimeLink(
            hash=hashed, user_id=row["user_id"], purpose=purpose, email=row["email"], made_at=moment(row["made_at"]), expires_at=moment(row["expires_at"])
        )

    async def whose(self, hashed: str, purpose: Purpose, now: datetime) -> str:
        found: str | None = await self._database.value(
            "select user_id from one_time_link where hash = :hash and purpose = :purpose and expires_at > :now", hash=hashed, purpose=purpose, now=stamp(now)
        )
        return found or ""

    async def sent_to(self, user_id: str, purpose: Purpose, now: datetime) -> str:
        found: str | None = await self._database.value(
            "select email from one_time_link where user_id = :user_id and purpose = :purpose and expires_at > :now",
            user_id=user_id, purpose=purpose, now=stamp(now),
        )  # fmt: skip
        return found or ""

    async def drop(self, tx: Transaction, user_id: str, purpose: Purpose) -> None:
        await tx.execute("delete from one_time_link where user_id = :user_id and purpose = :purpose", user_id=user_id, purpose=purpose)

    async def drop_elsewhere(self, tx: Transaction, user_id: str, email: str) -> None:
        await tx.execute("delete from one_time_link where user_id = :user_id and email <> :email", user_id=user_id, email=email)

    async def drop_expired(self, tx: Transaction, now: datetime) -> None:
        await tx.execute("delete from one_time_link where expires_at < :now", now=stamp(now))

    async def ask(self, tx: Transaction, id: str, email: str, now: datetime) -> None:
        await tx.execute("insert into reset_request (id, email, asked_at) values (:id, :email, :now)", id=id, email=email, now=stamp(now))

    async def asked(self, limit: int) -> Sequence[tuple[str, str]]:
        rows = await self._database.all("select id, email from reset_request order by id limit :limit", limit=limit)
        return [(row["id"], row["email"]) for row in rows]

    async def answered(self, tx: Transaction, id: str) -> bool:
        return bool(await tx.execute("delete from reset_request where id = :id", id=id))
