"""Clients, codes, grants, consents and notices over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from torg.contexts.user.contracts import ConsentView
from torg.contexts.user.model.oauth import Client, ClientGrant, Code, LogoutNotice
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class SqlClientStore:
    """Implements ClientStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---------------------------------------------------------------- clients

    async def all(self) -> Sequence[Client]:
        return [_client(row) for row in await self._database.all("select * from oauth_client order by made_at desc, id desc")]

    async def find(self, client_id: str) -> Client | None:
        row = await self._database.one("select * from oauth_client where id = :id", id=client_id)
        return _client(row) if row else None

    async def add(self, tx: Transaction, client: Client) -> None:
        await tx.execute(
            """insert into oauth_client (id, name, secret_hash, redirect_uris, logout_uris, backchannel_uri, scopes, grants, tier, acts_for, made_at)
               values (:id, :name, :secret_hash, :redirect_uris, :logout_uris, :backchannel_uri, :scopes, :grants, :tier, :acts_for, :made_at)""",
            id=client.id, name=client.name, secret_hash=client.secret_hash, redirect_uris=_text(client.redirect_uris), logout_uris=_text(client.logout_uris),
            backchannel_uri=client.backchannel_uri, scopes=" ".join(client.scopes), grants=" ".join(client.grants), tier=client.tier,
            acts_for=client.acts_for, made_at=stamp(client.made_at),
        )  # fmt: skip

    async def save(self, tx: Transaction, client: Client) -> None:
        await tx.execute(
            "update oauth_client set secret_hash = :secret_hash, disabled_at = :disabled_at where id = :id",
            secret_hash=client.secret_hash, disabled_at=stamp(client.disabled_at) if client.disabled_at else None, id=client.id,
        )  # fmt: skip

    # ---------------------------------------------------------------- codes and grants

    async def add_code(self, tx: Transaction, code: Code) -> None:
        await tx.execute(
            """insert into oauth_code (hash, client_id, user_id, redirect_uri, scope, challenge, nonce, authenticated_at, parent_id, ends_at, amr)
               values (:hash, :client_id, :user_id, :redirect_uri, :scope, :challenge, :nonce, :authenticated_at, :parent_id, :ends_at, :amr)""",
            hash=code.hash, client_id=code.client_id, user_id=code.user_id, redirect_uri=code.redirect_uri, scope=code.scope, challenge=code.challenge,
            nonce=code.nonce, authenticated_at=stamp(code.authenticated_at), parent_id=code.parent_id, ends_at=stamp(code.ends_at), amr=code.amr,
        )  # fmt: skip

    async def code(self, tx: Transaction, hashed: str) -> Code | None:
        await tx.claim(f"code {hashed}")
        row = await tx.one("select * from oauth_code where hash = :hash", hash=hashed)
        if row is None:
            return None
        return Code(
            hash=row["hash"], client_id=row["client_id"], user_id=row["user_id"], redirect_uri=row["redirect_uri"], scope=row["scope"],
            challenge=row["challenge"], nonce=row["nonce"], authenticated_at=moment(row["authenticated_at"]), parent_id=row["parent_id"],
            ends_at=moment(row["ends_at"]), spent_by=row["spent_by"] or "", amr=row["amr"],
        )  # fmt: skip

    async def spend(self, tx: Transaction, code: Code, session_id: str) -> None:
        await tx.execute("update oauth_code set spent_by = :session_id where hash = :hash", session_id=session_id, hash=code.hash)

    async def drop_codes(self, tx: Transaction, before: datetime) -> None:
        await tx.execute("delete from oauth_code where ends_at < :before", before=stamp(before))

    async def add_grant(self, tx: Transaction, grant: ClientGrant) -> None:
        await tx.execute(
            """insert into oauth_grant (session_id, client_id, scope, nonce, authenticated_at, parent_id, offline, amr, bound_to)
               values (:session_id, :client_id, :scope, :nonce, :authenticated_at, :parent_id, :offline, :amr, :bound_to)""",
            session_id=grant.session_id, client_id=grant.client_id, scope=grant.scope, nonce=grant.nonce,
            authenticated_at=stamp(grant.authenticated_at), parent_id=grant.parent_id, offline=int(grant.offline), amr=grant.amr, bound_to=grant.bound_to,
        )  # fmt: skip

    async def grant(self, tx: Transaction, session_id: str) -> ClientGrant | None:
        row = await tx.one("select * from oauth_grant where session_id = :id", id=session_id)
        if row is None:
            return None
        return ClientGrant(
            session_id=row["session_id"], client_id=row["client_id"], scope=row["scope"], nonce=row["nonce"],
            authenticated_at=moment(row["authenticated_at"]), parent_id=row["parent_id"], offline=bool(row["offline"]), amr=row["amr"],
            bound_to=row["bound_to"],
        )  # fmt: skip

    async def bind(self, tx: Transaction, session_id: str, bound_to: str) -> None:
        await tx.execute("update oauth_grant set bound_to = :bound_to where session_id = :session_id", bound_to=bound_to, session_id=session_id)

    async def sessions_of(self, tx: Transaction, client_id: str, user_id: str = "") -> Sequence[str]:
        rows = await tx.all(
            """select g.session_id from oauth_grant g join session s on s.id = g.session_id
               where g.client_id = :client_id and (:user_id = '' or s.user_id = :user_id)""",
            client_id=client_id, user_id=user_id,
        )  # fmt: skip
        return [row["session_id"] for row in rows]

    # ---------------------------------------------------------------- consents

    async def consented(self, user_id: str, client_id: str, tx: Transaction | None = None) -> str:
        scope = await (tx or self._database).value(
            "select scope from oauth_consent where user_id = :user_id and client_id = :client_id", user_id=user_id, client_id=client_id
        )
        return str(scope or "")

    async def consents(self, user_id: str) -> Sequence[ConsentView]:
        rows = await self._database.all(
            """select o.client_id, c.name, o.scope, o.granted_at from oauth_consent o join oauth_client c on c.id = o.client_id
               where o.user_id = :user_id and c.disabled_at is null order by o.granted_at desc, o.client_id""",
            user_id=user_id,
        )  # fmt: skip
        return [
            ConsentView(client_id=row["client_id"], client_name=row["name"], scopes=tuple(row["scope"].split()), granted_at=moment(row["granted_at"]))
            for row in rows
        ]

    async def consent(self, tx: Transaction, user_id: str, client_id: str, scope: str, now: datetime) -> None:
        await tx.execute(
            """insert into oauth_consent (user_id, client_id, scope, granted_at) values (:user_id, :client_id, :scope, :now)
               on conflict (user_id, client_id) do update set scope = excluded.scope, granted_at = excluded.granted_at""",
            user_id=user_id, client_id=client_id, scope=scope, now=stamp(now),
        )  # fmt: skip

    async def withdraw(self, tx: Transaction, user_id: str, client_id: str = "") -> int:
        return await tx.execute(
            "delete from oauth_consent where user_id = :user_id and (:client_id = '' or client_id = :client_id)", user_id=user_id, client_id=client_id
        )

    # ---------------------------------------------------------------- notices

    async def due(self, now: datetime, limit: int) -> Sequence[LogoutNotice]:
        rows = await self._database.all(
            """select n.*, c.backchannel_uri from logout_notice n join oauth_client c on c.id = n.client_id
               where n.next_at <= :now order by n.next_at, n.id limit :limit""",
            now=stamp(now), limit=limit,
        )  # fmt: skip
        return [
            LogoutNotice(id=row["id"], client_id=row["client_id"], user_id=row["user_id"], sid=row["sid"], attempts=row["attempts"], uri=row["backchannel_uri"])
            for row in rows
        ]

    async def told(self, tx: Transaction, notice: LogoutNotice) -> None:
        await tx.execute("delete from logout_notice where id = :id", id=notice.id)

    async def tell_again(self, tx: Transaction, notice: LogoutNotice, at: datetime) -> None:
        await tx.execute("update logout_notice set attempts = attempts + 1, next_at = :at where id = :id", at=stamp(at), id=notice.id)


def _text(texts: Sequence[str]) -> str:
    return msgspec.json.encode(texts).decode()


def _client(row: Row) -> Client:
    return Client(
        id=row["id"], name=row["name"], secret_hash=row["secret_hash"], redirect_uris=_texts(row["redirect_uris"]), logout_uris=_texts(row["logout_uris"]),
        backchannel_uri=row["backchannel_uri"], scopes=tuple(row["scopes"].split()), grants=tuple(row["grants"].split()), tier=row["tier"],
        acts_for=row["acts_for"], made_at=moment(row["made_at"]), disabled_at=moment(row["disabled_at"]) if row["disabled_at"] else None,
    )  # fmt: skip
