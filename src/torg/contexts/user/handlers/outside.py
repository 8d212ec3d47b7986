"""Signing in with a provider outside."""

from __future__ import annotations

from hmac import compare_digest
from typing import TypeVar

import msgspec

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.sessions import link_to, merge_carts, open_for, proven
from torg.contexts.user.handlers.steps import steps_of, ticket_for, ways_of
from torg.contexts.user.handlers.tokens import minting
from torg.contexts.user.model import outside as rules
from torg.contexts.user.model import proofs
from torg.contexts.user.model.accounts import UNUSABLE, Account
from torg.contexts.user.model.devices import device_of, familiar_hash
from torg.contexts.user.model.outside import Claim, Journey, OutsideIdentity
from torg.contexts.user.model.sessions import open_session
from torg.contexts.user.ports import Provider, UserDeps
from torg.kit import security
from torg.kit.auth import Role
from torg.kit.messages import encode

S = TypeVar("S", Journey, Claim)


async def leave_for_provider(cmd: c.LeaveForProvider, deps: UserDeps) -> c.Departure:
    journey = rules.begin(cmd.next, cmd.anew, deps.randomness, deps.clock())
    where = await _provider(deps).start(journey.state, journey.nonce, journey.challenge, cmd.anew)
    return c.Departure(where, deps.sealer.seal(encode(journey), Journey.__name__))


async def arrive_from_provider(cmd: c.ArriveFromProvider, deps: UserDeps) -> c.Arrival:
    provider, journey = _provider(deps), _opened(cmd.kept, Journey, deps)
    if not compare_digest(journey.state.encode(), cmd.state.encode()):
        raise rules.refused("this answer belongs to another sign-in")
    if cmd.iss and cmd.iss != provider.issuer:
        raise rules.refused("another provider has answered")
    if cmd.error or not cmd.code:
        raise rules.refused(f"the provider says {cmd.error or 'nothing'}")
    who = await provider.identify(cmd.code, journey.verifier, journey.nonce)
    user_id = await deps.users.find_outside(who.issuer, who.subject)
    if user_id is None and await deps.users.find_by_email(who.email):
        claim = Claim(
            issuer=who.issuer, subject=who.subject, email=who.email, next=journey.next, until=deps.clock() + rules.UNDER_WAY,
        )  # fmt: skip
        return c.Arrival(next=journey.next, email=who.email, kept=deps.sealer.seal(encode(claim), Claim.__name__))
    if user_id is None and not (who.email and who.email_verified):
        raise rules.unverified()
    now = deps.clock()
    if journey.anew and now - rules.signed_in_at(who, now) > rules.UNDER_WAY:
        raise rules.refused("the provider has not asked again who you are")
    account, amr = await deps.users.find(user_id) if user_id else None, proofs.vouched(who.amr, who.acr, deps.provider_factors)
    if account is None:
        return c.Arrival(next=journey.next, tokens=await _let_in_anew(who, cmd, amr, deps))
    if proofs.SEVERAL not in amr.split() and await steps_of(account.id, deps):
        return await _ask_more(account, journey.next, cmd, amr, None, deps)
    tokens = await open_for(account, cmd.address, cmd.device, amr, deps, proven_at=rules.signed_in_at(who, now))
    await merge_carts(cmd.guest_cart_id, account.id, deps)
    return c.Arrival(next=journey.next, tokens=tokens)


async def link_outside(cmd: c.LinkOutside, deps: UserDeps) -> c.Arrival:
    claim = _opened(cmd.kept, Claim, deps)
    account = await proven(c.SignIn(email=claim.email, password=cmd.password, address=cmd.address), deps)
    if not account.confirmed:
        raise rules.unconfirmed()
    link = (claim.issuer, claim.subject)
    if await steps_of(account.id, deps):  # whatever the provider has asked them: it may be somebody else's account there
        return await _ask_more(account, claim.next, cmd, proofs.PASSWORD, link, deps)
    tokens = await open_for(account, cmd.address, cmd.device, proofs.PASSWORD, deps, link=link)
    await merge_carts(cmd.guest_cart_id, account.id, deps)
    return c.Arrival(next=claim.next, tokens=tokens)


async def _ask_more(
    account: Account, page: str, cmd: c.ArriveFromProvider | c.LinkOutside, amr: str, link: tuple[str, str] | None, deps: UserDeps
) -> c.Arrival:
    ways = tuple(way.code for way in await ways_of(account.id, deps))
    return c.Arrival(next=page, ticket=ticket_for(account, cmd.device, cmd.guest_cart_id, amr, deps, link), ways=ways)


async def _let_in_anew(who: OutsideIdentity, cmd: c.ArriveFromProvider, amr: str, deps: UserDeps) -> c.Tokens:
    account, mint, session_id = _new_account(who, cmd, deps), await minting(deps), deps.new_id()
    tokens = mint.tokens(session_id, account.id)
    session = open_session(session_id, account.id, tokens, cmd.address, mint.now, device_of(cmd.device), amr, rules.signed_in_at(who, mint.now))
    async with deps.transaction() as tx:
        await deps.users.add(tx, account)
        await tx.append(account.id, [account.registered()])
        await link_to(tx, account.id, who.issuer, who.subject, deps)
        await deps.sessions.open(tx, session)
        await deps.familiar.is_new(tx, account.id, familiar_hash(account.id, session.device, cmd.address), mint.now)
    security.tell("sign_in", user_id=account.id, address=cmd.address, by=amr)
    await merge_carts(cmd.guest_cart_id, account.id, deps)
    return tokens


def _new_account(who: OutsideIdentity, cmd: c.ArriveFromProvider, deps: UserDeps) -> Account:
    """One without a password. Its name is what the provider calls them, as far as it would do here."""
    name = "".join(letter for letter in who.name if letter.isprintable()).strip()[:200] or who.email.partition("@")[0]
    return Account(
        id=deps.new_id(), email=who.email, password_hash=UNUSABLE, full_name=name, city="", birth_date=None, language=cmd.language,
        roles=frozenset({Role.CUSTOMER}), confirmed=True, created_at=deps.clock(),
    )  # fmt: skip


def _opened(kept: str, kind: type[S], deps: UserDeps) -> S:
    """Raises Unauthenticated."""
    data = deps.sealer.open(kept, kind.__name__)
    found = msgspec.json.decode(data, type=kind) if data else None
    if found is None or found.until < deps.clock():
        raise rules.refused("it took too long, or began in another browser")
    return found


def _provider(deps: UserDeps) -> Provider:
    if deps.provider is None:
        raise rules.no_provider()
    return deps.provider
