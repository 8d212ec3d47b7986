"""The rules of signing in with a provider outside.

An account that exists is linked only after its password was given once: whoever registered it with somebody else's e-mail address must not get that person
as a visitor, nor a provider that lets anybody have any address open other people's accounts. Where there is no account yet, and the provider says that the
address is verified, a new one is made, without a password."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from torg.kit.errors import DomainError, NotFound, Unauthenticated
from torg.kit.values import Randomness

UNDER_WAY: Final = timedelta(minutes=10)
NOBODY_KNOWS: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class OutsideIdentity:
    """Who somebody is, as the provider says; when they signed in there, where it tells, and by what (`amr`, `acr`)."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str
    authenticated_at: datetime | None = None
    amr: frozenset[str] = frozenset()
    acr: str = ""


class Journey(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser brings back sealed from the provider. `anew`: who comes was to sign in there again."""

    state: str
    nonce: str
    verifier: str
    next: str
    until: datetime
    anew: bool = False

    @property
    def challenge(self) -> str:
        return _encoded(hashlib.sha256(self.verifier.encode()).digest())


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who they are outside, kept sealed until they have given the password of their account."""

    issuer: str
    subject: str
    email: str
    next: str
    until: datetime


def begin(page: str, anew: bool, randomness: Randomness, now: datetime) -> Journey:
    state, nonce, verifier = (_encoded(randomness(32)) for _ in range(3))
    return Journey(state=state, nonce=nonce, verifier=verifier, next=page, until=now + UNDER_WAY, anew=anew)


def signed_in_at(who: OutsideIdentity, now: datetime) -> datetime:
    """When they last showed there who they are; long ago where the provider does not tell."""
    return min(who.authenticated_at, now) if who.authenticated_at else NOBODY_KNOWS


def refused(why: str) -> Unauthenticated:
    return Unauthenticated("outside.refused", f"the sign-in did not come to its end: {why}")


def no_provider() -> NotFound:
    return NotFound("outside.none", "this shop knows no provider to sign in with: TORG_OIDC_ISSUER names one")


def unverified() -> DomainError:
    return DomainError("outside.email_unverified", "the provider has not verified your e-mail address: register here, or verify it there")


def unconfirmed() -> DomainError:
    return DomainError("outside.unconfirmed", "your e-mail address is not confirmed here: follow the link in our letter first, then link the accounts")


def _encoded(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()
