"""Sessions over SQL, with the live ones held in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from torg.contexts.user.model.proofs import SEVERAL
from torg.contexts.user.model.sessions import Live, Session, token_hash
from torg.kit.auth import STAFF, Duties, Identity, Role
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

HELD = 50_000  # live sessions in memory; the oldest looked up give way
TRUSTED_FOR = timedelta(seconds=3)  # then it is looked up again, since another process may have ended it; edges elsewhere add two seconds of their own
Names = tuple[str, str]
"""A session's id and its access token's hash."""
_roles = msgspec.json.Decoder(frozenset[Role]).decode
_duties = msgspec.json.Decoder(Duties).decode

_FACTOR = """coalesce((select 1 from totp t where t.user_id = u.id and t.confirmed_at is not null),
    (select 1 from passkey_step p where p.user_id = u.id)) as factor"""
_HOLDER = f"""select s.id, s.user_id, s.access_until, s.amr, u.roles, u.duties, g.scope, g.client_id, g.bound_to, c.tier, {_FACTOR}
    from session s join users u on u.id = s.user_id
    left join oauth_grant g on g.session_id = s.id left join oauth_client c on c.id = g.client_id
    where s.access_hash = :hash and u.erased_at is null and c.disabled_at is null"""
_KEY_HOLDER = f"""select k.id, k.user_id, k.ends_at, k.scopes, k.tier, '' as amr, u.roles, u.duties, {_FACTOR} from api_key k join users u on u.id = k.user_id
    where k.hash = :hash and u.erased_at is null"""


class SqlSessionStore:
    """Implements SessionStore. `staff_factor`: roles of the staff are held back from who has no second factor, and didn't sign in with several either.
    `purge` has edges forget whom these tags stand for: "session:" and a token's hash."""

    def __init__(self, database: Database, clock: Clock, purge: Callable[..., None] = lambda *_: None, staff_factor: bool = False) -> None:
        self._database, self._clock, self._purge, self._staff_factor = database, clock, purge, staff_factor
        self._held: dict[str, tuple[Live, datetime, timedelta]] = {}
        self._endings = 0

    def at_hand(self, access_token: str, now: datetime) -> Live | None:
        held = self._held.get(token_hash(access_token))
        if held is None:
            return None
        live, since, trusted = held
        return live if timedelta() <= now - since < trusted and live.until > now else None  # a clock that was set back makes nothing live longer

    async def holder(self, access_token: str, now: datetime) -> Live | None:
        live = self.at_hand(access_token, now) or await self._look_up(token_hash(access_token), now)
        return live if live and live.until > now else None

    async def _look_up(self, hashed: str, now: datetime) -> Live | None:
        endings = self._endings
        live, trusted = await self._read(hashed)
        self._held.pop(hashed, None)
        if live and trusted and endings == self._endings:  # else it may have been read just before its end
            self._held[hashed] = live, now, trusted
            if len(self._held) > HELD:
                del self._held[next(iter(self._held))]
        return live

    async def _read(self, hashed: str) -> tuple[Live | None, timedelta]:
        """Who holds the token, and for how long that may be believed from now on."""
        if row := await self._database.one(_HOLDER, hash=hashed):
            scopes = frozenset(row["scope"].split()) if row["client_id"] else None
            of_client = scopes, row["client_id"] or "", row["tier"] or ""
            identity = Identity(row["user_id"], _roles(row["roles"]), row["id"], *of_client, _duties(row["duties"]), bound_to=row["bound_to"] or "")
            return Live(self._confined(identity, row), moment(row["access_until"])), TRUSTED_FOR
        if row := await self._database.one(_KEY_HOLDER, hash=hashed):
            identity = Identity(
                row["user_id"], _roles(row["roles"]), row["id"], frozenset(row["scopes"].split()), tier=row["tier"], duties=_duties(row["duties"])
            )
            return Live(self._confined(identity, row), moment(row["ends_at"])), TRUSTED_FOR
        return None, timedelta()

    def _confined(self, identity: Identity, row: Row) -> Identity:
        if row["factor"] or not self._staff_factor or STAFF.isdisjoint(identity.roles) or SEVERAL in row["amr"].split():
            return identity
        return msgspec.structs.replace(identity, roles=identity.roles - STAFF, lacks_factor=True)

    async def _announce(self, sessions: Sequence[Names]) -> None:
        """Tells other processes, if there is a way, that these are about to change: they look them up anew."""

    async def find(self, session_id: str, tx: Transaction | None = None) -> Session | None:
        row = await (tx or self._database).one("select * from session where id = :id", id=session_id)
        return _session(row) if row else None

    async def of(self, user_id: str) -> Sequence[Session]:
        return [_session(row) for row in await self._database.all("select * from session where user_id = :user_id order by created_at, id", user_id=user_id)]

    async def known_address(self, user_id: str, address: str) -> bool:
        found = await self._database.value("select 1 from session where user_id = :user_id and address = :address", user_id=user_id, address=address)
        return found is not None

    async def open(self, tx: Transaction, session: Session) -> None:
        await tx.execute(
            """insert into session (id, user_id, access_hash, access_until, refresh_hash, refresh_until, address, device, created_at, refreshed_at,
                   proven_at, amr)
               values (:id, :user_id, :access_hash, :access_until, :refresh_hash, :refresh_until, :address, :device, :created_at, :refreshed_at,
                   :proven_at, :amr)""",
            **_columns(session),
        )

    async def by_access_token(self, tx: Transaction, token: str) -> Session | None:
        row = await tx.one("select * from session where access_hash = :hash", hash=token_hash(token))
        return _session(row) if row else None

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
            **{name: value for name, value in _columns(after).items() if name not in ("user_id", "address", "device", "created_at", "proven_at", "amr")},
        )
        await tx.execute("insert into spent_token (hash, session_id) values (:hash, :id)", hash=before.refresh_hash, id=before.id)
        await self._drop_after(tx, [(before.id, before.access_hash)])

    async def prove(self, tx: Transaction, session_id: str, amr: str, now: datetime) -> None:
        await tx.execute("update session set proven_at = :now, amr = :amr where id = :id", id=session_id, amr=amr, now=stamp(now))
        await self._drop_after(tx, _names(await tx.all("select id, access_hash from session where id = :id", id=session_id)))

    async def end(self, tx: Transaction, session_id: str) -> None:
        await self._end(tx, await tx.all("select id, access_hash from session where id = :id", id=session_id))

    async def end_all(self, tx: Transaction, user_id: str, but: str = "") -> None:
        await self._end(tx, await tx.all("select id, access_hash from session where user_id = :user_id and id <> :but", user_id=user_id, but=but))

    async def forget_held(self, tx: Transaction, user_id: str) -> None:
        rows = await tx.all("select id, access_hash from session where user_id = :user_id", user_id=user_id)
        keys = await tx.all("select id, hash from api_key where user_id = :user_id", user_id=user_id)
        await self._drop_after(tx, [*_names(rows), *((row["id"], row["hash"]) for row in keys)])

    async def outlived(self, limit: int) -> dict[str, int]:
        rows = await self._database.all(
            """select s.user_id, count(*) as sessions from session s join users u on u.id = s.user_id where u.erased_at is not null
               group by s.user_id order by s.user_id limit :limit""",
            limit=limit,
        )
        return {row["user_id"]: row["sessions"] for row in rows}

    async def drop_expired(self, tx: Transaction, now: datetime) -> None:
        await tx.execute("delete from session where refresh_until < :now", now=stamp(now))

    async def _end(self, tx: Transaction, rows: Sequence[Row]) -> None:
        for row in rows:
            await self._end_with_it(tx, row["id"])
            await tx.execute("delete from session where id = :id", id=row["id"])
        await self._drop_after(tx, _names(rows))

    async def _end_with_it(self, tx: Transaction, session_id: str) -> None:
        """Clients that were let in there are to be told, and go out too, except those that may stay."""
        await tx.execute(
            """insert into logout_notice (id, client_id, user_id, sid, attempts, next_at, made_at)
               select g.session_id || '/' || :id, g.client_id, s.user_id, g.session_id, 0, :now, :now
               from oauth_grant g join session s on s.id = g.session_id join oauth_client c on c.id = g.client_id
               where (g.session_id = :id or (g.parent_id = :id and g.offline = 1)) and c.backchannel_uri <> '' and s.user_id <> coalesce(c.acts_for, '')
               on conflict do nothing""",
            id=session_id, now=stamp(self._clock()),
        )  # fmt: skip
        within = "select s.id, s.access_hash from session s join oauth_grant g on g.session_id = s.id where g.parent_id = :id and g.offline = 0"
        await self._end(tx, await tx.all(within, id=session_id))

    async def forget(self, tx: Transaction, tokens: Sequence[Names]) -> None:
        """Has others look up anew who holds these, by id and hash."""
        await self._drop_after(tx, tokens)

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
        refresh_hash=row["refresh_hash"], refresh_until=moment(row["refresh_until"]), address=row["address"], device=row["device"],
        created_at=moment(row["created_at"]), refreshed_at=moment(row["refreshed_at"]), proven_at=moment(row["proven_at"] or row["created_at"]), amr=row["amr"],
    )  # fmt: skip


def _columns(session: Session) -> dict[str, Any]:
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in asdict(session).items()}
