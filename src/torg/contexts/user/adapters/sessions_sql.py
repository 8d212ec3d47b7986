"""Sessions over SQL, with the live ones held in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from torg.contexts.user.model import Live, Session, token_hash
from torg.kit.auth import Identity, Role
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

HELD = 50_000  # live sessions in memory; the oldest looked up give way
TRUSTED_FOR = timedelta(seconds=3)  # then it is looked up again, since another process may have ended it; edges elsewhere add two seconds of their own
Names = tuple[str, str]
"""A session's id and its access token's hash."""
_roles = msgspec.json.Decoder(frozenset[Role]).decode

_HOLDER = """select s.id, s.user_id, s.access_until, u.roles from session s join users u on u.id = s.user_id
    where s.access_hash = :hash and u.erased_at is null"""


class SqlSessionStore:
    """Implements SessionStore. `purge` has edges forget whom these tags stand for: "session:" and a token's hash."""

    def __init__(self, database: Database, purge: Callable[..., None] = lambda *_: None) -> None:
        self._database, self._purge = database, purge
        self._held: dict[str, tuple[Live, datetime]] = {}
        self._endings = 0

    async def holder(self, access_token: str, now: datetime) -> Live | None:
        hashed = token_hash(access_token)
        held = self._held.get(hashed)
        live = held[0] if held and held[1] > now else await self._look_up(hashed, now)
        return live if live and live.until > now else None

    async def _look_up(self, hashed: str, now: datetime) -> Live | None:
        endings = self._endings
        live, trusted = await self._read(hashed)
        self._held.pop(hashed, None)
        if live and trusted and endings == self._endings:  # else it may have been read just before its end
            self._held[hashed] = live, now + trusted
            if len(self._held) > HELD:
                del self._held[next(iter(self._held))]
        return live

    async def _read(self, hashed: str) -> tuple[Live | None, timedelta]:
        """Who holds the token, and for how long that may be believed from now on."""
        row = await self._database.one(_HOLDER, hash=hashed)
        if row is None:
            return None, timedelta()
        return Live(Identity(row["user_id"], _roles(row["roles"]), row["id"]), moment(row["access_until"])), TRUSTED_FOR

    async def _announce(self, sessions: Sequence[Names]) -> None:
        """Tells other processes, if there is a way, that these are about to change: they look them up anew."""

    async def of(self, user_id: str) -> Sequence[Session]:
        return [_session(row) for row in await self._database.all("select * from session where user_id = :user_id order by created_at, id", user_id=user_id)]

    async def known_address(self, user_id: str, address: str) -> bool:
        found = await self._database.value("select 1 from session where user_id = :user_id and address = :address", user_id=user_id, address=address)
        return found is not None

    async def open(self, tx: Transaction, session: Session) -> None:
        await tx.execute(
            """insert into session (id, user_id, access_hash, access_until, refresh_hash, refresh_until, address, created_at, refreshed_at)
               values (:id, :user_id, :access_hash, :access_until, :refresh_hash, :refresh_until, :address, :created_at, :refreshed_at)""",
            **_columns(session),
        )

    async def by_refresh_token(self, tx: Transaction, token: str) -> tuple[Session, bool] | None:
        hashed = token_hash(token)
        row = await tx.one("select * from session where refresh_hash = :hash", hash=hashed)
        if row is not None:
            return _session(row), True
        row = await tx.one("select s.* from spent_token t join session s on s.id = t.session_id where t.hash = :hash", hash=hashed)
        return (_session(row), False) if row else None

    async def renew(self, tx: Transaction, before: Session, after: Session) -> None:
        await tx.execute(
            """update session set access_hash = :access_hash, access_until = :access_until, refresh_hash = :refresh_hash,
                   refresh_until = :refresh_until, refreshed_at = :refreshed_at where id = :id""",
            **{name: value for name, value in _columns(after).items() if name not in ("user_id", "address", "created_at")},
        )
        await tx.execute("insert into spent_token (hash, session_id) values (:hash, :id)", hash=before.refresh_hash, id=before.id)
        await self._drop_after(tx, [(before.id, before.access_hash)])

    async def end(self, tx: Transaction, session_id: str) -> None:
        await self._end(tx, await tx.all("select id, access_hash from session where id = :id", id=session_id))

    async def end_all(self, tx: Transaction, user_id: str, but: str = "") -> None:
        await self._end(tx, await tx.all("select id, access_hash from session where user_id = :user_id and id <> :but", user_id=user_id, but=but))

    async def forget_held(self, tx: Transaction, user_id: str) -> None:
        rows = await tx.all("select id, access_hash from session where user_id = :user_id", user_id=user_id)
        await self._drop_after(tx, _names(rows))

    async def drop_expired(self, tx: Transaction, now: datetime) -> None:
        await tx.execute("delete from session where refresh_until < :now", now=stamp(now))

    async def _end(self, tx: Transaction, rows: Sequence[Row]) -> None:
        for row in rows:
            await tx.execute("delete from session where id = :id", id=row["id"])
        await self._drop_after(tx, _names(rows))

    async def _drop_after(self, tx: Transaction, sessions: Sequence[Names]) -> None:
        await self._announce(sessions)
        tx.sql.after_commit(partial(self._drop, [hashed for _, hashed in sessions]))

    def _drop(self, hashes: Sequence[str]) -> None:
        self._endings += 1
        for hashed in hashes:
            self._held.pop(hashed, None)
        self._purge(*(f"session:{hashed}" for hashed in hashes))


def _names(rows: Sequence[Row]) -> list[Names]:
    return [(row["id"], row["access_hash"]) for row in rows]


def _session(row: Row) -> Session:
    return Session(
        id=row["id"], user_id=row["user_id"], access_hash=row["access_hash"], access_until=moment(row["access_until"]),
        refresh_hash=row["refresh_hash"], refresh_until=moment(row["refresh_until"]), address=row["address"],
        created_at=moment(row["created_at"]), refreshed_at=moment(row["refreshed_at"]),
    )  # fmt: skip


def _columns(session: Session) -> dict[str, Any]:
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in asdict(session).items()}
