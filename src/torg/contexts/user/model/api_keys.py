"""The rules of API keys."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from torg.contexts.user.contracts import ApiKeyEnded, ApiKeyMade, ApiKeyView, MakeApiKey, NewApiKey, Tier
from torg.contexts.user.model.sessions import token_hash
from torg.kit.errors import DomainError, NotFound
from torg.kit.values import Randomness

BEGINS: Final = "torg_"
MOST: Final = 20  # keys of one person, and as many again that overlap with those in their place


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as it is kept: by its hash, so that a stolen database opens nothing."""

    id: str
    user_id: str
    name: str
    prefix: str
    hash: str
    scopes: tuple[str, ...]
    tier: Tier
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None = None

    def view(self) -> ApiKeyView:
        return ApiKeyView(
            id=self.id, user_id=self.user_id, name=self.name, prefix=self.prefix, scopes=self.scopes, tier=self.tier, made_at=self.made_at,
            ends_at=self.ends_at, used_at=self.used_at,
        )  # fmt: skip

    def shown(self, key: str) -> NewApiKey:
        return NewApiKey(
            id=self.id, user_id=self.user_id, name=self.name, prefix=self.prefix, scopes=self.scopes, tier=self.tier, made_at=self.made_at,
            ends_at=self.ends_at, used_at=None, key=key,
        )  # fmt: skip

    def made(self, replaces: str = "") -> ApiKeyMade:
        return ApiKeyMade(user_id=self.user_id, key_id=self.id, prefix=self.prefix, scopes=self.scopes, ends_at=self.ends_at, replaces=replaces)

    def ended(self) -> ApiKeyEnded:
        return ApiKeyEnded(self.user_id, self.id, self.prefix)

    def replaced(self, id: str, key: str, now: datetime) -> ApiKey:
        """The one that takes its place, for as long as it was made for."""
        return replace(
            self, id=id, prefix=prefix_of(key), hash=token_hash(key), made_at=now, ends_at=now + (self.ends_at - self.made_at), used_at=None
        )  # fmt: skip

    def overlapping(self, now: datetime, hours: int) -> ApiKey:
        return replace(self, ends_at=min(self.ends_at, now + timedelta(hours=hours)))


def make_key(randomness: Randomness) -> str:
    """Eight letters that may be shown, then 256 random bits."""
    secret = base64.urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()
    return f"{BEGINS}{randomness(4).hex()}_{secret}"


def prefix_of(key: str) -> str:
    return key[: len(BEGINS) + 8]


def open_key(id: str, cmd: MakeApiKey, key: str, now: datetime) -> ApiKey:
    return ApiKey(
        id=id, user_id=cmd.holder.user_id, name=cmd.name, prefix=prefix_of(key), hash=token_hash(key), scopes=tuple(sorted(set(cmd.scopes))),
        tier="free", made_at=now, ends_at=now + timedelta(days=cmd.days),
    )  # fmt: skip


def too_many() -> DomainError:
    return DomainError("api_key.too_many", f"you have {MOST} API keys: end one first")


def unknown(key_id: str) -> NotFound:
    return NotFound("api_key.not_found", f"there is no API key {key_id}")
