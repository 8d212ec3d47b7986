"""What comes after the password: a code of the app, a recovery code, or a passkey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import msgspec

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.passwords import verified
from torg.contexts.user.model import attempts, factors, proofs
from torg.contexts.user.model import passkeys as keys
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.model.factors import Ticket, Totp
from torg.contexts.user.model.passkeys import Asked, Shown
from torg.contexts.user.model.sessions import token_hash
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import FieldError
from torg.kit.messages import encode
from torg.kit.store import Transaction

TICKET, ASKED = "Ticket", "Asked"


@dataclass(frozen=True)
class Steps:
    """What is asked for after the password."""

    totp: bool
    passkey: bool

    def __bool__(self) -> bool:
        return self.totp or self.passkey


async def steps_of(user_id: str, deps: UserDeps, tx: Transaction | None = None) -> Steps:
    found = await deps.factors.find(user_id, tx)
    return Steps(found is not None and found.confirmed_at is not None, await deps.factors.asks_for_passkey(user_id, tx))


async def ways_of(user_id: str, deps: UserDeps, password: bool = False) -> tuple[FieldError, ...]:
    """By what they may show who they are, besides the `password`."""
    totp, left = (await steps_of(user_id, deps)).totp, await deps.factors.codes_left(user_id)
    return proofs.ways(password=password, totp=totp, passkeys=bool(await deps.passkeys.of(user_id)), recovery=left > 0)


# ---------------------------------------------------------------- tickets


def ticket_for(account: Account, device: str, guest_cart_id: str, amr: str, deps: UserDeps, link: tuple[str, str] | None = None) -> str:
    ticket = Ticket(
        user_id=account.id, password=factors.fingerprint(account.password_hash), device=device, guest_cart_id=guest_cart_id, amr=amr,
        link=link, until=deps.clock() + factors.TICKET_FOR,
    )  # fmt: skip
    return deps.sealer.seal(encode(ticket), TICKET)


async def held(ticket: str, deps: UserDeps) -> tuple[Account, Ticket]:
    """Whose ticket it is. Raises Unauthenticated."""
    data = deps.sealer.open(ticket, TICKET)
    found = msgspec.json.decode(data, type=Ticket) if data else None
    account = await deps.users.find(found.user_id) if found and found.until > deps.clock() else None
    if found is None or account is None or factors.fingerprint(account.password_hash) != found.password:
        raise factors.bad_ticket()
    return account, found


# ---------------------------------------------------------------- codes


async def is_code_of(user_id: str, code: str, address: str, deps: UserDeps) -> bool:
    """Whether it is a good one; it is not any more. Raises TooManyRequests for who guesses."""
    guesses = {f"factor {user_id} {address}": factors.FREE_FAILURES}
    if not await deps.sessions.known_address(user_id, address):
        guesses[f"factor {user_id}"] = attempts.FREE_ACCOUNT_FAILURES
    return await verified(partial(_spend, user_id, code.strip(), deps), guesses, deps)


async def claim_factor(tx: Transaction, user_id: str) -> None:
    """No code is good twice, not at the same moment either."""
    await tx.claim(f"second factor of {user_id}")


def secret_of(totp: Totp, deps: UserDeps) -> bytes:
    """Empty where the shop's secret was lost: then no code fits, and a recovery code is what is left."""
    return deps.sealer.open(totp.sealed, about(totp.user_id)) or b""


def about(user_id: str) -> str:
    return f"totp {user_id}"


async def _spend(user_id: str, code: str, deps: UserDeps) -> bool:
    async with deps.transaction() as tx:
        await claim_factor(tx, user_id)
        found = await deps.factors.find(user_id, tx)
        there = found is not None and found.confirmed_at is not None
        step = factors.step_of(secret_of(found, deps), code, deps.clock(), found.last_step) if found and there else None
        if found is None or step is None:
            return await deps.factors.take_code(tx, user_id, factors.code_hash(code))
        await deps.factors.put(tx, replace(found, last_step=step))
        return True


# ---------------------------------------------------------------- passkeys


def ask(user_id: str, options: str, challenge: bytes, deps: UserDeps) -> c.Challenge:
    """`user_id` is empty where anybody may answer."""
    asked = Asked(challenge=challenge.hex(), user_id=user_id, until=deps.clock() + keys.CHALLENGE_FOR)
    return c.Challenge(options, deps.sealer.seal(encode(asked), ASKED))


async def ask_for_one_of(user_id: str, deps: UserDeps) -> c.Challenge:
    """Asks for a passkey of theirs. Raises DomainError `passkey.none`."""
    known, challenge = [one.id for one in await deps.passkeys.of(user_id)], deps.randomness(32)
    if not known:
        raise keys.none()
    return ask(user_id, deps.devices.ask_for_any(challenge, known), challenge, deps)


def asked_of(ticket: str, deps: UserDeps) -> Asked | None:
    """None for one that is not ours, or too old."""
    data = deps.sealer.open(ticket, ASKED)
    found = msgspec.json.decode(data, type=Asked) if data else None
    return found if found and found.until > deps.clock() else None


async def answered(ticket: str, credential: str, user_id: str, deps: UserDeps) -> Account:
    """Whose passkey has answered: anybody's where no `user_id` was asked. Raises Unauthenticated."""
    asked, passkey = asked_of(ticket, deps), await deps.passkeys.find(deps.devices.named(credential))
    account = await deps.users.find(passkey.user_id) if passkey else None
    shown: Shown | None = None
    if asked and passkey and asked.user_id == user_id and user_id in ("", passkey.user_id):
        shown = deps.devices.proven(credential, bytes.fromhex(asked.challenge), passkey)
    if asked is None or account is None or shown is None:
        raise keys.unknown_passkey()
    async with deps.transaction() as tx:
        if not await deps.passkeys.spend(tx, token_hash(asked.challenge), asked.until):
            raise keys.unknown_passkey()
        await deps.passkeys.used(tx, shown.id, shown.sign_count, deps.clock())
    return account
