"""The rules of users and sessions: what an account is, how tokens are made and renewed, how long a guesser has to wait."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import msgspec
from msgspec import UNSET

from torg.contexts.user.contracts import ChangeProfile, RolesChanged, SessionView, Tokens, User, UserChanged, UserRegistered
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.passwords import weakness
from torg.kit.values import Language, Randomness

ACCESS_FOR = timedelta(minutes=15)
REFRESH_FOR = timedelta(days=30)
ADDRESSES = 50  # a user may keep
LONGEST_EMAIL = 320  # characters that can matter (RFC 3696, with its erratum)
UNUSABLE = "!"
"""Stands where a password's hash would: nobody can sign in."""


# ---------------------------------------------------------------- accounts


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user with what is not shown: the password's hash, and the language to write to them in."""

    id: str
    email: str
    password_hash: str
    full_name: str
    city: str
    birth_date: date | None
    language: Language
    roles: frozenset[Role]
    created_at: datetime

    def view(self) -> User:
        return User(
            id=self.id, email=self.email, full_name=self.full_name, city=self.city, birth_date=self.birth_date,
            roles=tuple(sorted(self.roles)), created_at=self.created_at,
        )  # fmt: skip

    def registered(self, self_made: bool = True) -> UserRegistered:
        return UserRegistered(
            user_id=self.id, email=self.email, full_name=self.full_name, city=self.city, language=self.language, at=self.created_at, self_made=self_made
        )

    def roles_changed(self) -> RolesChanged:
        return RolesChanged(self.id, tuple(sorted(self.roles)))

    def changed(self) -> UserChanged:
        return UserChanged(user_id=self.id, email=self.email, full_name=self.full_name, city=self.city, language=self.language)

    def with_changes(self, change: ChangeProfile) -> Account:
        given = {name: getattr(change, name) for name in ("email", "full_name", "city", "birth_date", "language")}
        return replace(self, **{name: value for name, value in given.items() if value is not UNSET})


def email_key(email: str) -> str:
    """What makes two spellings of an address the same one."""
    return unicodedata.normalize("NFKC", email).casefold()


def refuse_weak(password: str, email: str, field: str = "password") -> None:
    """Raises Invalid for a password that is too weak, or that anybody who knows the e-mail address would try."""
    local = email_key(email).partition("@")[0]
    sentence = "use something else than your e-mail address" if password.casefold() in (email_key(email), local) else weakness(password)
    if sentence:
        raise Invalid.fields(FieldError(field, "invalid", sentence))


def email_taken() -> DomainError:
    return DomainError("user.email_taken", "there is an account with this e-mail address: sign in, or use another address")


def profile_tag(profile: User) -> str:
    """The profile's ETag: over everything that can be edited, so that a payment under way does not spoil an edit."""
    edited = msgspec.json.encode((profile.id, profile.email, profile.full_name, profile.city, profile.birth_date, profile.roles))
    return f'"{hashlib.blake2b(edited, digest_size=8).hexdigest()}"'


# ---------------------------------------------------------------- sessions


@dataclass(frozen=True, kw_only=True)
class Session:
    """A sign-in and what it is carried on with. Tokens are kept as hashes, so that a stolen database opens no door."""

    id: str
    user_id: str
    access_hash: str
    access_until: datetime
    refresh_hash: str
    refresh_until: datetime
    address: str
    created_at: datetime
    refreshed_at: datetime

    def view(self) -> SessionView:
        return SessionView(id=self.id, address=self.address, created_at=self.created_at, refreshed_at=self.refreshed_at, expires_at=self.refresh_until)

    def renewed(self, tokens: Tokens, now: datetime) -> Session:
        return replace(
            self, access_hash=token_hash(tokens.access_token), access_until=now + ACCESS_FOR, refresh_hash=token_hash(tokens.refresh_token),
            refresh_until=now + REFRESH_FOR, refreshed_at=now,
        )  # fmt: skip


@dataclass(frozen=True)
class Live:
    """Who holds an access token, and until when."""

    identity: Identity
    until: datetime


def make_tokens(randomness: Randomness) -> Tokens:
    """A pair of new tokens, 256 random bits each."""
    return Tokens(access_token=_token(randomness), refresh_token=_token(randomness), expires_in=int(ACCESS_FOR.total_seconds()))


def open_session(id: str, user_id: str, tokens: Tokens, address: str, now: datetime) -> Session:
    return Session(
        id=id, user_id=user_id, access_hash=token_hash(tokens.access_token), access_until=now + ACCESS_FOR,
        refresh_hash=token_hash(tokens.refresh_token), refresh_until=now + REFRESH_FOR, address=address, created_at=now, refreshed_at=now,
    )  # fmt: skip


def token_hash(token: str) -> str:
    """SHA-256 without salt or stretching: a token has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _token(randomness: Randomness) -> str:
    return base64.urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()


# ---------------------------------------------------------------- wrong passwords

FREE_FAILURES = 10  # of one account from one address
FREE_ACCOUNT_FAILURES = 100  # of one account from all addresses it has never been used from
LONGEST_PAUSE = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)


def pause(failures: int, free: int) -> timedelta:
    """How long to wait after so many wrong passwords: nothing for the first ones, then twice as long each time."""
    if failures < free:
        return timedelta()
    return min(timedelta(seconds=2.0 ** min(failures - free, 20)), LONGEST_PAUSE)
