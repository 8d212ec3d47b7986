"""The rules of second factors: codes of an app (TOTP, RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from torg.contexts.user.model.proofs import PASSWORD
from torg.contexts.user.model.sessions import token_hash
from torg.kit.errors import DomainError, FieldError, Unauthenticated
from torg.kit.values import Randomness

STEP: Final = 30  # seconds
DIGITS: Final = 6
LEEWAY: Final = 1  # steps to either side, for clocks that differ
CODES: Final = 10
TICKET_FOR: Final = timedelta(minutes=5)
FREE_FAILURES: Final = 5  # of one account from one address


@dataclass(frozen=True, kw_only=True)
class Totp:
    """`sealed` is the secret; no code of `last_step` or before is taken again."""

    user_id: str
    sealed: str
    last_step: int
    made_at: datetime
    confirmed_at: datetime | None


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody gave the right password, or came from a provider outside (`amr` says by what); the password is still to be the same when they come with a
    code. `link`: who they are outside, to be linked then."""

    user_id: str
    password: str
    device: str
    guest_cart_id: str
    amr: str = PASSWORD
    link: tuple[str, str] | None = None
    until: datetime


def code_at(secret: bytes, step: int) -> str:
    """RFC 4226, section 5.3, with SHA-1, which all apps know."""
    digest = hmac.new(secret, step.to_bytes(8), hashlib.sha1).digest()
    at = digest[-1] & 15
    return str((int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)


def step_of(secret: bytes, code: str, now: datetime, after: int) -> int | None:
    """The step whose code it is, if that was not used yet."""
    current = int(now.timestamp()) // STEP
    steps = range(max(current - LEEWAY, after + 1), current + LEEWAY + 1)
    return next((step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())), None)


def shown(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, email: str) -> str:
    """As authenticator apps read it."""
    named = "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else f"%{byte:02X}" for byte in email.encode())
    return f"otpauth://totp/Torg:{named}?secret={shown(secret)}&issuer=Torg&algorithm=SHA1&digits={DIGITS}&period={STEP}"


def make_codes(randomness: Randomness) -> tuple[str, ...]:
    """120 bits each, in groups of four."""
    written = [base64.b32encode(randomness(15)[:15].rjust(15, b"\0")).decode().lower() for _ in range(CODES)]
    return tuple("-".join(one[at : at + 4] for at in range(0, 24, 4)) for one in written)


def code_hash(code: str) -> str:
    """However it was typed."""
    return token_hash("".join(letter for letter in code.casefold() if letter.isalnum()))


def fingerprint(password_hash: str) -> str:
    return hashlib.sha256(password_hash.encode()).hexdigest()


def wanted(ticket: str, ways: tuple[FieldError, ...]) -> Unauthenticated:
    """The answer to a right password that is not enough; the ticket is in its `errors`, with the ways to go on."""
    detail = "the password is right: now give a code, with this ticket, to /sessions/second-factor, or a passkey to /sessions/second-factor/passkey"
    return Unauthenticated("session.second_factor", detail, (FieldError("ticket", "issued", ticket), *ways))


def ticket_of(refusal: DomainError) -> str:
    """Empty for another refusal."""
    return next((error.detail for error in refusal.errors if error.field == "ticket" and error.code == "issued"), "")


def bad_ticket() -> Unauthenticated:
    return Unauthenticated("session.bad_ticket", "this ticket is unknown or too old: sign in with your password again")


def bad_code() -> Unauthenticated:
    return Unauthenticated("session.bad_code", "this code is wrong, too old, or was used before")


def not_begun() -> DomainError:
    return DomainError("factor.not_begun", "you have no second factor: set one up first")


def exists() -> DomainError:
    return DomainError("factor.exists", "you have a second factor: remove it before you set up another one")
