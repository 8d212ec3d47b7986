"""The rules of the key ring: which key signs, and how long each is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from torg.contexts.user.contracts import SigningKey
from torg.contexts.user.model.sessions import ACCESS_FOR
from torg.kit.tokens import LEEWAY, Jwk

PUBLISHED_FOR: Final = timedelta(seconds=60)  # before it signs: longer than anybody keeps the ring
ROTATED_AFTER: Final = timedelta(days=30)
KEPT_FOR: Final = timedelta(days=30)  # after it is believed no more: for hints of who signs out


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key; `sealed` is its private part."""

    kid: str
    jwk: Jwk
    sealed: str
    made_at: datetime
    signs_from: datetime
    verifies_until: datetime | None = None

    def view(self) -> SigningKey:
        return SigningKey(kid=self.kid, made_at=self.made_at, signs_from=self.signs_from, verifies_until=self.verifies_until)


def believed(keys: Sequence[Key], now: datetime) -> list[Key]:
    return [key for key in keys if key.verifies_until is None or key.verifies_until > now]


def signing(keys: Sequence[Key], now: datetime) -> Key | None:
    """The newest whose time has come; where a clock has jumped back behind all of them, the first."""
    ready = [key for key in believed(keys, now) if key.signs_from <= now]
    return max(ready, key=lambda key: key.signs_from, default=None) or min(believed(keys, now), key=lambda key: key.signs_from, default=None)


def rotated(keys: Sequence[Key], new: Key, compromised: bool) -> list[Key]:
    """The others, once there is a new key: each is believed for as long as a token lives that it signs at the last moment."""
    until = new.made_at if compromised else new.signs_from + ACCESS_FOR + 2 * LEEWAY
    return [replace(key, verifies_until=until) for key in keys if key.verifies_until is None or (compromised and key.verifies_until > until)]


def is_due(keys: Sequence[Key], now: datetime) -> bool:
    """Whether it is time for a new one."""
    return not keys or max(key.made_at for key in keys) + ROTATED_AFTER <= now
