"""The token endpoint and its siblings: tokens for codes, for refresh tokens, for a client itself; ended, asked about, and what they tell of a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Literal

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.oauth.clients import proven
from torg.contexts.user.handlers.oauth.consents import claim_consents
from torg.contexts.user.handlers.passwords import claim_password
from torg.contexts.user.handlers.tokens import minting
from torg.contexts.user.model import oauth as rules
from torg.contexts.user.model import sessions
from torg.contexts.user.model.oauth import Client, ClientGrant, OAuthRefused
from torg.contexts.user.model.sessions import Mint, token_hash
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import NotFound
from torg.kit.store import Transaction
from torg.kit.tokens import ACCESS, ID, BadToken, Claims


async def exchange_token(cmd: c.ExchangeToken, deps: UserDeps, bound_to: str = "") -> c.ClientTokens:
    """`bound_to`: the thumbprint of the key that the client has proven to hold, if it wants its tokens bound to one."""
    exchange = EXCHANGES.get(cmd.grant_type)
    if exchange is None:
        raise OAuthRefused("unsupported_grant_type", f"grant_type is one of {', '.join(EXCHANGES)}")
    client = await proven(cmd.client_id, cmd.client_secret, deps)
    if cmd.grant_type not in client.grants:
        raise OAuthRefused("unauthorized_client", f"this client is not registered for {cmd.grant_type}")
    return await exchange(cmd, client, bound_to, deps)


async def _for_code(cmd: c.ExchangeToken, client: Client, bound_to: str, deps: UserDeps) -> c.ClientTokens:
    mint = await minting(deps)
    async with deps.transaction() as tx:
        given = await _exchanged(tx, cmd, client, bound_to, mint, deps)
    if isinstance(given, str):  # told after the commit, which may have ended what a code was exchanged for before
        raise OAuthRefused("invalid_grant", given)
    return given


async def _exchanged(tx: Transaction, cmd: c.ExchangeToken, client: Client, bound_to: str, mint: Mint, deps: UserDeps) -> c.ClientTokens | str:
    """The tokens, or why there are none."""
    code = await deps.clients.code(tx, token_hash(cmd.code))
    if code is None:
        return "this code is unknown"
    if code.spent_by and code.client_id == client.id:  # somebody has a copy of it
        await deps.sessions.end(tx, code.spent_by)
        return "this code was used before: what it was exchanged for has ended"
    grant = ClientGrant(
        session_id=deps.new_id(), client_id=client.id, scope=code.scope, nonce=code.nonce, authenticated_at=code.authenticated_at,
        parent_id=code.parent_id, offline=rules.OFFLINE in code.scope.split(), amr=code.amr, bound_to=bound_to,
    )  # fmt: skip
    if fault := code.fault(client, cmd.redirect_uri, cmd.code_verifier, mint.now) or await _gone(tx, code.user_id, grant, deps):
        return fault
    await deps.clients.spend(tx, code, grant.session_id)
    return await _open(tx, grant, code.user_id, mint, client, deps)


async def _for_refresh_token(cmd: c.ExchangeToken, client: Client, bound_to: str, deps: UserDeps) -> c.ClientTokens:
    mint, tokens = await minting(deps), None
    async with deps.transaction() as tx:
        session, newest = await deps.sessions.by_refresh_token(tx, cmd.refresh_token) or (None, False)
        grant = await deps.clients.grant(tx, session.id) if session else None
        if session and grant and grant.client_id == client.id:
            if not client.secret_hash and grant.bound_to not in ("", bound_to):
                raise OAuthRefused("invalid_grant", "this refresh token is bound to a key, and this is no proof of it")
            if newest and session.refresh_until > mint.now:
                if not rules.covers(grant.scope, cmd.scope):
                    raise OAuthRefused("invalid_scope", f"the grant is for {grant.scope}")
                pair, grant = mint.tokens(session.id, session.user_id, client.id, grant.scope, bound_to), replace(grant, bound_to=bound_to)
                await deps.sessions.renew(tx, session, session.renewed(pair, mint.now))
                await deps.clients.bind(tx, session.id, bound_to)
                tokens = _given(pair, grant, session.user_id, mint, pair.refresh_token, nonce="")
            else:
                await deps.sessions.end(tx, session.id)
                if not newest:
                    await tx.append(session.user_id, [c.TokenReused(session.user_id, session.id)])
    if tokens is None:
        raise OAuthRefused("invalid_grant", "this refresh token is unknown, expired, another client's or was used before")
    return tokens


async def _for_itself(cmd: c.ExchangeToken, client: Client, bound_to: str, deps: UserDeps) -> c.ClientTokens:
    scope = client.allowed(cmd.scope, [one for one in client.scopes if ":" in one])
    if any(":" not in one for one in scope.split()):
        raise OAuthRefused("invalid_scope", "nobody has signed in: there is nothing to tell about a person")
    assert client.acts_for, "a client that comes by itself has an account"
    mint, session_id = await minting(deps), deps.new_id()
    pair = mint.tokens(session_id, client.id, client.id, scope, bound_to)
    session = sessions.open_session(session_id, client.acts_for, pair, "", mint.now, client.name)
    grant = ClientGrant(
        session_id=session_id, client_id=client.id, scope=scope, nonce="", authenticated_at=mint.now, parent_id="", offline=True, bound_to=bound_to
    )
    async with deps.transaction() as tx:
        await deps.sessions.open(tx, sessions.without_refresh(session))
        await deps.clients.add_grant(tx, grant)
    return c.ClientTokens(access_token=pair.access_token, token_type=_type(bound_to), expires_in=pair.expires_in, scope=scope)


EXCHANGES: Mapping[str, Callable[[c.ExchangeToken, Client, str, UserDeps], Awaitable[c.ClientTokens]]] = {
    "authorization_code": _for_code,
    "refresh_token": _for_refresh_token,
    "client_credentials": _for_itself,
}


async def revoke_token(cmd: c.RevokeToken, deps: UserDeps) -> None:
    client = await proven(cmd.client_id, cmd.client_secret, deps)
    async with deps.transaction() as tx:
        session = await deps.sessions.by_access_token(tx, cmd.token)
        if session is None:
            session, _ = await deps.sessions.by_refresh_token(tx, cmd.token) or (None, False)
        grant = await deps.clients.grant(tx, session.id) if session else None
        if session and grant and grant.client_id == client.id:
            await deps.sessions.end(tx, session.id)


async def introspect_token(query: c.IntrospectToken, deps: UserDeps) -> c.Introspection:
    client, now = await proven(query.client_id, query.client_secret, deps), deps.clock()
    if not client.secret_hash:
        raise rules.invalid_client()
    try:
        claims = (await deps.keys.checker(now)).check(query.token, ACCESS, deps.issuer, now)
    except BadToken:
        return await _of_refresh_token(query.token, client, deps)
    live = await deps.sessions.holder(query.token, now)
    if live is None or claims.client_id != client.id:
        return c.Introspection(active=False)
    return c.Introspection(
        active=True, scope=claims.scope, client_id=claims.client_id, sub=claims.sub, token_type=_type(claims.cnf.get("jkt", "")), exp=claims.exp,
        iat=claims.iat, iss=claims.iss, aud=claims.aud, cnf=claims.cnf,
    )  # fmt: skip


async def get_user_info(query: c.GetUserInfo, deps: UserDeps) -> c.UserInfo:
    account = await deps.users.find(query.holder.user_id)
    if account is None:
        raise NotFound("user.not_found", "this user is no more")
    scopes = query.holder.scopes
    profile, email = (scopes is None or name in scopes for name in ("profile", "email"))
    return c.UserInfo(
        sub=account.id, name=account.full_name if profile else "", locale=account.language.value if profile else "",
        email=account.email if email else "", email_verified=account.confirmed if email else None,
    )  # fmt: skip


async def _of_refresh_token(token: str, client: Client, deps: UserDeps) -> c.Introspection:
    async with deps.transaction() as tx:
        session, newest = await deps.sessions.by_refresh_token(tx, token) or (None, False)
        grant = await deps.clients.grant(tx, session.id) if session else None
    if session is None or grant is None or not newest or grant.client_id != client.id or session.refresh_until <= deps.clock():
        return c.Introspection(active=False)
    return c.Introspection(
        active=True, scope=grant.scope, client_id=client.id, sub=session.user_id, token_type="refresh_token",  # noqa: S106
        exp=int(session.refresh_until.timestamp()), iss=deps.issuer,
    )  # fmt: skip


async def _gone(tx: Transaction, user_id: str, grant: ClientGrant, deps: UserDeps) -> str:
    """Empty where the person, the session in which they agreed, and what they agreed to are still there."""
    await claim_password(tx, user_id)
    await claim_consents(tx, user_id)
    try:
        await deps.users.load(tx, user_id)
    except NotFound:
        return "the person is no more"
    if await deps.sessions.find(grant.parent_id, tx) is None:
        return "the person has signed out"
    agreed = await deps.clients.consented(user_id, grant.client_id, tx)
    return "" if rules.covers(agreed, grant.scope) else "the person has taken it back"


async def _open(tx: Transaction, grant: ClientGrant, user_id: str, mint: Mint, client: Client, deps: UserDeps) -> c.ClientTokens:
    pair = mint.tokens(grant.session_id, user_id, client.id, grant.scope, grant.bound_to)
    refreshes = "refresh_token" in client.grants
    session = sessions.open_session(grant.session_id, user_id, pair, "", mint.now, client.name)
    await deps.sessions.open(tx, session if refreshes else sessions.without_refresh(session))
    await deps.clients.add_grant(tx, grant)
    return _given(pair, grant, user_id, mint, pair.refresh_token if refreshes else "", grant.nonce)


def _given(pair: c.Tokens, grant: ClientGrant, user_id: str, mint: Mint, refresh_token: str, nonce: str) -> c.ClientTokens:
    id_token = _id_token(pair.access_token, grant, user_id, mint, nonce) if "openid" in grant.scope.split() else ""
    return c.ClientTokens(
        access_token=pair.access_token, token_type=_type(grant.bound_to), expires_in=pair.expires_in, scope=grant.scope, refresh_token=refresh_token,
        id_token=id_token,
    )  # fmt: skip


def _type(bound_to: str) -> Literal["Bearer", "DPoP"]:
    return "DPoP" if bound_to else "Bearer"


def _id_token(access_token: str, grant: ClientGrant, user_id: str, mint: Mint, nonce: str) -> str:
    at = int(mint.now.timestamp())
    claims = Claims(
        iss=mint.issuer, aud=grant.client_id, sub=user_id, iat=at, exp=at + int(rules.ID_FOR.total_seconds()), nonce=nonce, sid=grant.session_id,
        auth_time=int(grant.authenticated_at.timestamp()), amr=tuple(grant.amr.split()), at_hash=rules.at_hash(access_token),
    )  # fmt: skip
    return mint.signer.sign(claims, ID)
