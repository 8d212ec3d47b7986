"""What a program asks a person for, and what they say."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.model import oauth as rules
from torg.contexts.user.model.oauth import Client, Code, OAuthRefused
from torg.contexts.user.model.sessions import Session, token_hash
from torg.contexts.user.ports import UserDeps
from torg.kit.auth import Identity
from torg.kit.errors import NotFound, Unauthenticated
from torg.kit.store import Transaction
from torg.kit.urls import origin_of


async def check_authorization(query: c.CheckAuthorization, deps: UserDeps) -> c.Asked:
    client = await _sender(query.asked, deps)
    try:
        return await _shown(query.asked, query.visitor, client, deps)
    except OAuthRefused as refusal:
        return c.Asked(redirect=rules.refused_to(query.asked, deps.issuer, refusal))


async def answer_authorization(cmd: c.AnswerAuthorization, deps: UserDeps) -> c.SentOn:
    asked, now = cmd.asked, deps.clock()
    client, session = await _sender(asked, deps), await _session(cmd.holder, deps)
    try:
        scope = _agreed(cmd, client)
    except OAuthRefused as refusal:
        return c.SentOn(rules.refused_to(asked, deps.issuer, refusal))
    if session is None or rules.has_to_sign_in(asked, session.proven_at, now):
        raise Unauthenticated("session.required", "sign in first")
    code = rules.new_secret(deps.randomness)
    made = Code(
        hash=token_hash(code), client_id=client.id, user_id=cmd.holder.user_id, redirect_uri=asked.redirect_uri, scope=scope,
        challenge=asked.code_challenge, nonce=asked.nonce, authenticated_at=session.proven_at, amr=session.amr, parent_id=session.id,
        ends_at=now + rules.CODE_FOR,
    )  # fmt: skip
    async with deps.transaction() as tx:
        await _consent(tx, cmd.holder.user_id, client.id, scope, deps)
        await deps.clients.add_code(tx, made)
    return c.SentOn(rules.back(asked, deps.issuer, code=code))


async def list_consents(query: c.ListConsents, deps: UserDeps) -> c.Consents:
    return c.Consents(tuple(await deps.clients.consents(query.holder.user_id)))


async def withdraw_consent(cmd: c.WithdrawConsent, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await claim_consents(tx, cmd.holder.user_id)
        if not await deps.clients.withdraw(tx, cmd.holder.user_id, cmd.client_id):
            raise NotFound("consent.not_found", f"you have let in no program {cmd.client_id}")
        for session_id in await deps.clients.sessions_of(tx, cmd.client_id, cmd.holder.user_id):
            await deps.sessions.end(tx, session_id)
        await tx.append(cmd.holder.user_id, [c.ConsentWithdrawn(user_id=cmd.holder.user_id, client_id=cmd.client_id)])


async def _shown(asked: c.Authorization, visitor: Identity | None, client: Client, deps: UserDeps) -> c.Asked:
    scope = rules.check(asked, client)
    session = await _session(visitor, deps)
    if visitor is None or rules.has_to_sign_in(asked, session.proven_at if session else None, deps.clock()):
        if asked.prompt == "none":
            raise OAuthRefused("login_required", "nobody has signed in")
        return c.Asked(client_name=client.name, sign_in=True)
    consented = await deps.clients.consented(visitor.user_id, client.id)
    settled = rules.covers(consented, scope) and "consent" not in asked.prompt.split() and client.is_itself_at(asked.redirect_uri)
    if asked.prompt == "none" and not settled:
        raise OAuthRefused("consent_required", "the person has yet to agree")
    return c.Asked(client_name=client.name, scopes=tuple(scope.split()), origin=origin_of(asked.redirect_uri), settled=settled)


def _agreed(cmd: c.AnswerAuthorization, client: Client) -> str:
    scope = rules.check(cmd.asked, client)
    if not cmd.allowed:
        raise OAuthRefused("access_denied", "the person said no")
    return scope


async def _consent(tx: Transaction, user_id: str, client_id: str, scope: str, deps: UserDeps) -> None:
    await claim_consents(tx, user_id)
    before = await deps.clients.consented(user_id, client_id, tx)
    if not rules.covers(before, scope):
        both = rules.joined([before, scope])
        await deps.clients.consent(tx, user_id, client_id, both, deps.clock())
        await tx.append(user_id, [c.ConsentGiven(user_id=user_id, client_id=client_id, scopes=tuple(both.split()))])


async def claim_consents(tx: Transaction, user_id: str) -> None:
    """What is taken back stays so, whatever a program does at that moment."""
    await tx.claim(f"consents of {user_id}")


async def _sender(asked: c.Authorization, deps: UserDeps) -> Client:
    """Who asks. Until that is certain, and where it wants people back, nothing is sent there."""
    client = await deps.clients.find(asked.client_id)
    if client is None or client.disabled_at is not None:
        raise rules.client_unknown()
    if not client.answers_at(asked.redirect_uri):
        raise rules.redirect_unknown()
    return client


async def _session(visitor: Identity | None, deps: UserDeps) -> Session | None:
    """Which says when they last showed who they are, and by what."""
    return await deps.sessions.find(visitor.session_id) if visitor and visitor.scopes is None else None
