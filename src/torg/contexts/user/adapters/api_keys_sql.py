"""API keys over SQL. Who holds one is found, held and forgotten as sessions are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.model.api_keys import ApiKey
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp


class SqlApiKeyStore:
    """Implements ApiKeyStore."""

    def __init__(self, database: Database, sessions: SqlSessionStore) -> None:
        self._database, self._sessions = database, sessions
        self._used: dict[str, datetime] = {}

    async def add(self, tx: Transaction, key: ApiKey) -> None:
        await tx.execute(
            """insert into api_key (id, user_id, name, prefix, hash, scopes, tier, made_at, ends_at)
               values (:id, :user_id, :name, :prefix, :hash, :scopes, :tier, :made_at, :ends_at)""",
            id=key.id, user_id=key.user_id, name=key.name, prefix=key.prefix, hash=key.hash, scopes=" ".join(key.scopes), tier=key.tier,
            made_at=stamp(key.made_at), ends_at=stamp(key.ends_at),
        )  # fmt: skip

    async def save(self, tx: Transaction, key: ApiKey) -> None:
        await tx.execute("update api_key set tier = :tier, ends_at = :ends_at where id = :id", tier=key.tier, ends_at=stamp(key.ends_at), id=key.id)
        await self._sessions.forget(tx, [(key.id, key.hash)])

    async def end(self, tx: Transaction, key: ApiKey) -> None:
        await tx.execute("delete from api_key where id = :id", id=key.id)
        await self._sessions.forget(tx, [(key.id, key.hash)])

    async def end_all(self, tx: Transaction, user_id: str) -> None:
        for key in await self.of(user_id, tx):
            await self.end(tx, key)

    async def load(self, tx: Transaction, key_id: str) -> ApiKey | None:
        row = await tx.one("select * from api_key where id = :id", id=key_id)
        return _key(row) if row else None

    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[ApiKey]:
        rows = await (tx or self._database).all("select * from api_key where user_id = :user_id order by made_at desc, id desc", user_id=user_id)
        return [_key(row) for row in rows]

    async def page(self, prefix: str, user_id: str, cursor: str, limit: int) -> Page[ApiKey]:
        at, id = after_time(cursor)
        wanted = where(("substr(prefix, 1, :length) = :prefix", prefix), ("user_id = :user_id", user_id), ("(made_at, id) < (:at, :id)", cursor))
        rows = await self._database.relaxed(0).all(
            f"select * from api_key where {wanted} order by made_at desc, id desc limit :limit",
            prefix=prefix, length=len(prefix), user_id=user_id, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _key, "made_at", "id")

    def used(self, key_id: str, now: datetime) -> None:
        self._used[key_id] = now

    def take_used(self) -> Mapping[str, datetime]:
        used, self._used = self._used, {}
        return used

    async def file_used(self, tx: Transaction, used: Mapping[str, datetime]) -> None:
        await tx.execute_many(
            "update api_key set used_at = :at where id = :id and (used_at is null or used_at < :at)",
            [{"id": id, "at": stamp(at)} for id, at in sorted(used.items())],
        )


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"], user_id=row["user_id"], name=row["name"], prefix=row["prefix"], hash=row["hash"], scopes=tuple(row["scopes"].split()),
        tier=row["tier"], made_at=moment(row["made_at"]), ends_at=moment(row["ends_at"]), used_at=moment(row["used_at"]) if row["used_at"] else None,
    )  # fmt: skip
