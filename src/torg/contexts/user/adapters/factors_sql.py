"""Second factors over SQL."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from torg.contexts.user.model.factors import Totp
from torg.kit.sql import Database
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp


class SqlFactorStore:
    """Implements FactorStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, user_id: str, tx: Transaction | None = None) -> Totp | None:
        row = await (tx or self._database).one("select * from totp where user_id = :user_id", user_id=user_id)
        if row is None:
            return None
        confirmed_at = moment(row["confirmed_at"]) if row["confirmed_at"] else None
        return Totp(user_id=user_id, sealed=row["sealed"], last_step=row["last_step"], made_at=moment(row["made_at"]), confirmed_at=confirmed_at)

    async def put(self, tx: Transaction, totp: Totp) -> None:
        await tx.execute(
            """insert into totp (user_id, sealed, last_step, made_at, confirmed_at) values (:user_id, :sealed, :last_step, :made_at, :confirmed_at)
               on conflict (user_id) do update set sealed = excluded.sealed, last_step = excluded.last_step, made_at = excluded.made_at,
                   confirmed_at = excluded.confirmed_at""",
            user_id=totp.user_id, sealed=totp.sealed, last_step=totp.last_step, made_at=stamp(totp.made_at),
            confirmed_at=stamp(totp.confirmed_at) if totp.confirmed_at else None,
        )  # fmt: skip

    async def remove(self, tx: Transaction, user_id: str) -> None:
        await tx.execute("delete from totp where user_id = :user_id", user_id=user_id)

    async def put_codes(self, tx: Transaction, user_id: str, hashes: Iterable[str]) -> None:
        await tx.execute("delete from recovery_code where user_id = :user_id", user_id=user_id)
        await tx.execute_many("insert into recovery_code (hash, user_id) values (:hash, :user_id)", [{"hash": one, "user_id": user_id} for one in hashes])

    async def take_code(self, tx: Transaction, user_id: str, hashed: str) -> bool:
        return bool(await tx.execute("delete from recovery_code where user_id = :user_id and hash = :hash", user_id=user_id, hash=hashed))

    async def codes_left(self, user_id: str, tx: Transaction | None = None) -> int:
        left: int = await (tx or self._database).value("select count(*) from recovery_code where user_id = :user_id", user_id=user_id)
        return left

    async def asks_for_passkey(self, user_id: str, tx: Transaction | None = None) -> bool:
        return await (tx or self._database).value("select 1 from passkey_step where user_id = :user_id", user_id=user_id) is not None

    async def ask_for_passkey(self, tx: Transaction, user_id: str, since: datetime | None) -> None:
        if since is None:
            await tx.execute("delete from passkey_step where user_id = :user_id", user_id=user_id)
        else:
            await tx.execute("insert into passkey_step (user_id, since) values (:user_id, :since) on conflict do nothing", user_id=user_id, since=stamp(since))
