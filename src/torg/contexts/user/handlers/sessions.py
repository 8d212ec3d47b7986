"""Signing in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from torg.contexts.cart.contracts import MergeCarts
from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.passwords import claim_password, verified
from torg.contexts.user.handlers.steps import held, is_code_of, steps_of, ticket_for, ways_of
from torg.contexts.user.handlers.tokens import minting
from torg.contexts.user.model import accounts, attempts, factors, proofs, sessions
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.model.devices import FAMILIAR_FOR, device_of, familiar_hash
from torg.contexts.user.model.sessions import Session
from torg.contexts.user.ports import UserDeps
from torg.kit import security, telemetry
from torg.kit.errors import NotFound, Unauthenticated
from torg.kit.store import Transaction

Link = tuple[str, str] | None
"""An issuer, and who somebody is there."""


async def sign_in(cmd: c.SignIn, deps: UserDeps) -> c.Tokens:
    account = await proven(cmd, deps)
    if await steps_of(account.id, deps):
        raise factors.wanted(ticket_for(account, cmd.device, cmd.guest_cart_id, proofs.PASSWORD, deps), await ways_of(account.id, deps))
    renewed = await deps.passwords.hash(cmd.password) if deps.passwords.is_outdated(account.password_hash) else ""
    tokens = await open_for(account, cmd.address, cmd.device, proofs.PASSWORD, deps, renewed=renewed)
    await merge_carts(cmd.guest_cart_id, account.id, deps)
    return tokens


async def give_code(cmd: c.GiveCode, deps: UserDeps) -> c.Tokens:
    account, ticket = await held(cmd.ticket, deps)
    if not await is_code_of(account.id, cmd.code, cmd.address, deps):
        raise factors.bad_code()
    tokens = await open_for(account, cmd.address, ticket.device, proofs.joined(ticket.amr, proofs.CODE, proofs.SEVERAL), deps, link=ticket.link)
    await merge_carts(ticket.guest_cart_id, account.id, deps)
    return tokens


async def open_for(
    account: Account, address: str, device: str, amr: str, deps: UserDeps, *, renewed: str = "", link: Link = None, proven_at: datetime | None = None
) -> c.Tokens:
    """A session of theirs, proven by `amr`; `renewed` is their password's hash from now on, where it was too old; `link` is who they are outside, which is
    certain now."""
    mint, id = await minting(deps), deps.new_id()
    tokens = mint.tokens(id, account.id)
    async with deps.transaction() as tx:
        await claim_password(tx, account.id)
        now = await deps.users.load(tx, account.id)
        if now.password_hash != account.password_hash:  # it was changed while this one was being checked
            raise bad_credentials()
        await deps.sessions.open(tx, sessions.open_session(id, account.id, tokens, address, mint.now, device_of(device), amr, proven_at))
        if renewed:
            await deps.users.save(tx, replace(now, password_hash=renewed))
        if await deps.familiar.is_new(tx, account.id, familiar_hash(account.id, device_of(device), address), mint.now) and proofs.KEY not in amr.split():
            await tx.append(account.id, [c.SignedInAnew(user_id=account.id, session_id=id, device=device_of(device))])
        if link:
            await link_to(tx, account.id, *link, deps)
    security.tell("sign_in", user_id=account.id, address=address, by=amr)
    return tokens


async def link_to(tx: Transaction, user_id: str, issuer: str, subject: str, deps: UserDeps) -> None:
    """From now on this provider is enough."""
    await deps.users.link_outside(tx, issuer, subject, user_id)
    await tx.append(user_id, [c.OutsideLinked(user_id=user_id, issuer=issuer)])


async def refresh_session(cmd: c.RefreshSession, deps: UserDeps) -> c.Tokens:
    mint, tokens = await minting(deps), None
    async with deps.transaction() as tx:
        found = await deps.sessions.by_refresh_token(tx, cmd.refresh_token)
        session, newest = found or (None, False)
        if session and await deps.clients.grant(tx, session.id):
            session = None  # a client's, which renews it elsewhere
        if session and newest and session.refresh_until > mint.now:
            tokens = mint.tokens(session.id, session.user_id)
            await deps.sessions.renew(tx, session, session.renewed(tokens, mint.now))
        elif session:
            await deps.sessions.end(tx, session.id)
            if not newest:
                await tx.append(session.user_id, [c.TokenReused(session.user_id, session.id)])
    if tokens is None:  # told after the commit, which ended the session
        raise Unauthenticated("session.bad_refresh_token", "this refresh token is unknown, expired or was used before: sign in again")
    return tokens


async def list_sessions(query: c.ListSessions, deps: UserDeps) -> c.Sessions:
    current = query.holder.session_id
    live = sorted(await live_sessions(query.holder.user_id, deps), key=lambda session: session.id != current)
    return c.Sessions(tuple(session.view(current) for session in live))


async def live_sessions(user_id: str, deps: UserDeps) -> Sequence[Session]:
    """Those used last first."""
    live = [session for session in await deps.sessions.of(user_id) if session.refresh_until > deps.clock()]
    return sorted(live, key=lambda session: session.refreshed_at, reverse=True)


async def end_session(cmd: c.EndSession, deps: UserDeps) -> None:
    if cmd.session_id not in {session.id for session in await deps.sessions.of(cmd.holder.user_id)}:
        raise NotFound("session.not_found", f"you have no session {cmd.session_id}")
    async with deps.transaction() as tx:
        await deps.sessions.end(tx, cmd.session_id)


async def sign_out(cmd: c.SignOut, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.end(tx, cmd.holder.session_id)


async def sign_out_everywhere(cmd: c.SignOutEverywhere, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.end_all(tx, cmd.holder.user_id)


async def drop_expired_sessions(deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.drop_expired(tx, deps.clock())
        await deps.clients.drop_codes(tx, deps.clock() - timedelta(days=1))
        await deps.familiar.drop_old(tx, deps.clock() - FAMILIAR_FOR)


async def proven(cmd: c.SignIn, deps: UserDeps) -> Account:
    """The account whose password this is. Whether the address is known makes no difference: neither in the answer nor in its time."""
    account = await deps.users.find_by_email(cmd.email)
    email = accounts.email_key(cmd.email)[: accounts.LONGEST_EMAIL]
    keys = {f"sign-in {cmd.address} {email}": attempts.FREE_FAILURES}  # what anybody may have typed comes last, so that it is no other key
    known = account is not None and await deps.sessions.known_address(account.id, cmd.address)
    if not known:
        keys[f"sign-in anywhere {email}"] = attempts.FREE_ACCOUNT_FAILURES
    fits = partial(deps.passwords.verify, account.password_hash if account else accounts.UNUSABLE, cmd.password, cmd.address, known)
    right = await verified(fits, keys, deps)
    if account is None or not right:
        if account is not None:
            security.tell("wrong_password", user_id=account.id, address=cmd.address)
        raise bad_credentials()
    if deps.strict_with_staff and account.works_here and accounts.falls_short(cmd.password):
        raise accounts.outgrown()
    return account


def bad_credentials() -> Unauthenticated:
    return Unauthenticated("session.bad_credentials", "the e-mail address or the password is wrong")


async def merge_carts(guest_cart_id: str, user_id: str, deps: UserDeps) -> None:
    if not guest_cart_id:
        return
    try:
        await deps.call(MergeCarts(guest_cart_id=guest_cart_id, user_id=user_id))
    except Exception as error:  # noqa: BLE001 nobody is kept out of the shop because of their cart
        telemetry.log.warning("a guest's cart was not merged", cart_id=guest_cart_id, user_id=user_id, error=str(error))
