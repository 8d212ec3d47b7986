"""The rules of sessions: how tokens are made and renewed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from torg.contexts.user.contracts import SessionView, Tokens
from torg.kit.auth import Identity
from torg.kit.tokens import ACCESS, Claims, Signer
from torg.kit.values import Randomness

ACCESS_FOR = timedelta(minutes=15)
REFRESH_FOR = timedelta(days=30)
LASTS = timedelta(days=180)
"""However much it is used, a session ends; the next one begins with a sign-in."""
SHOP = "torg"
"""The client that the shop's own sessions are of."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A sign-in and what it is carried on with. Tokens are kept as hashes, so that a stolen database opens no door. `proven_at`: when they last showed who
    they are, and `amr` by what."""

    id: str
    user_id: str
    access_hash: str
    access_until: datetime
    refresh_hash: str
    refresh_until: datetime
    address: str
    device: str
    created_at: datetime
    refreshed_at: datetime
    proven_at: datetime
    amr: str = ""

    def view(self, current: str = "") -> SessionView:
        return SessionView(
            id=self.id, device=self.device, address=self.address, created_at=self.created_at, refreshed_at=self.refreshed_at, expires_at=self.refresh_until,
            current=self.id == current,
        )  # fmt: skip

    def renewed(self, tokens: Tokens, now: datetime) -> Session:
        return replace(
            self, access_hash=token_hash(tokens.access_token), access_until=now + ACCESS_FOR, refresh_hash=token_hash(tokens.refresh_token),
            refresh_until=min(now + REFRESH_FOR, self.created_at + LASTS), refreshed_at=now,
        )  # fmt: skip


@dataclass(frozen=True)
class Live:
    """Who holds an access token, and until when."""

    identity: Identity
    until: datetime


@dataclass(frozen=True)
class Mint:
    """What makes tokens at a moment. An access token says nothing personal; a refresh token says nothing at all."""

    signer: Signer
    issuer: str
    randomness: Randomness
    now: datetime

    def tokens(self, session_id: str, subject: str, client_id: str = SHOP, scope: str = "", bound_to: str = "") -> Tokens:
        """A pair for a session; what is random in each has 128 and 256 bits. `scope` empty: whatever the user may do; `bound_to`: the key without which the
        access token opens nothing."""
        return Tokens(
            access_token=self._access(session_id, subject, client_id, scope, bound_to),
            refresh_token=_token(self.randomness(32)),
            expires_in=int(ACCESS_FOR.total_seconds()),
        )

    def _access(self, session_id: str, subject: str, client_id: str, scope: str, bound_to: str) -> str:
        """As RFC 9068 has it, and RFC 9449 where it is bound."""
        at = int(self.now.timestamp())
        claims = Claims(
            iss=self.issuer, aud=self.issuer, sub=subject, client_id=client_id, scope=scope, sid=session_id, jti=_token(self.randomness(16)), iat=at,
            exp=at + int(ACCESS_FOR.total_seconds()), cnf={"jkt": bound_to} if bound_to else {},
        )  # fmt: skip
        return self.signer.sign(claims, ACCESS)


def open_session(
    id: str, user_id: str, tokens: Tokens, address: str, now: datetime, device: str = "", amr: str = "", proven_at: datetime | None = None
) -> Session:
    return Session(
        id=id, user_id=user_id, access_hash=token_hash(tokens.access_token), access_until=now + ACCESS_FOR,
        refresh_hash=token_hash(tokens.refresh_token), refresh_until=now + REFRESH_FOR, address=address, device=device, created_at=now, refreshed_at=now,
        proven_at=proven_at or now, amr=amr,
    )  # fmt: skip


def without_refresh(session: Session) -> Session:
    """One that ends with its access token: nobody was given the refresh token."""
    return replace(session, refresh_until=session.access_until)


def token_hash(token: str) -> str:
    """SHA-256 without salt or stretching: a token has 128 random bits or more, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _token(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()
