"""The rules of links that letters carry."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from torg.contexts.user.contracts import Purpose
from torg.contexts.user.model.sessions import token_hash
from torg.kit.errors import DomainError
from torg.kit.values import Randomness

LASTS: Final[Mapping[Purpose, timedelta]] = {"confirm": timedelta(days=3), "reset": timedelta(minutes=30)}
PAGES: Final[Mapping[Purpose, str]] = {"confirm": "/confirm-email", "reset": "/reset-password"}
FREE_LETTERS: Final = 3  # that somebody may ask for before they wait, of one account from one address
FREE_LETTERS_FROM_ANYWHERE: Final = 20  # of one account from addresses it was never used from


@dataclass(frozen=True, kw_only=True)
class OneTimeLink:
    """It works once, until it expires; a newer one of its purpose takes its place. `email` is where it was sent."""

    hash: str
    user_id: str
    purpose: Purpose
    email: str
    made_at: datetime
    expires_at: datetime


def make_link(user_id: str, purpose: Purpose, email: str, randomness: Randomness, now: datetime) -> tuple[OneTimeLink, str]:
    """With the path that a letter shows: 256 random bits."""
    token = base64.urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()
    link = OneTimeLink(hash=token_hash(token), user_id=user_id, purpose=purpose, email=email, made_at=now, expires_at=now + LASTS[purpose])
    return link, f"{PAGES[purpose]}?token={token}"


def bad_link() -> DomainError:
    return DomainError("user.bad_link", "this link is unknown, was used before or is too old: ask for another one")
