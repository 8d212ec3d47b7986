"""The rules of passkeys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from torg.contexts.user.contracts import PasskeyView
from torg.kit.errors import DomainError, NotFound, Unauthenticated

MOST: Final = 20  # of a user
CHALLENGE_FOR: Final = timedelta(minutes=5)
NAMELESS: Final = "Passkey"


@dataclass(frozen=True, kw_only=True)
class Passkey:
    """`id` and `public_key` are in hexadecimal; the device's counter was at `sign_count`, where it has one."""

    id: str
    user_id: str
    name: str
    public_key: str
    sign_count: int
    made_at: datetime
    used_at: datetime | None = None

    def view(self) -> PasskeyView:
        return PasskeyView(id=self.id, name=self.name, made_at=self.made_at, used_at=self.used_at)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a device was asked; `user_id` is empty where anybody may answer."""

    challenge: str
    user_id: str
    until: datetime


@dataclass(frozen=True)
class Shown:
    """What a device has proven: which passkey it holds."""

    id: str
    public_key: str
    sign_count: int


def refused() -> DomainError:
    return DomainError("passkey.refused", "this answer of the device can't be taken: begin anew")


def unknown_passkey() -> Unauthenticated:
    return Unauthenticated("passkey.refused", "this passkey is unknown here, or its answer came too late: try again, or sign in with your password")


def too_many() -> DomainError:
    return DomainError("passkey.too_many", f"you have {MOST} passkeys: remove one first")


def none() -> DomainError:
    return DomainError("passkey.none", "you have no passkey: add one first")


def not_found(passkey_id: str) -> NotFound:
    return NotFound("passkey.not_found", f"you have no passkey {passkey_id}")
