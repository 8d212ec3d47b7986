"""API keys: what a person's own programs sign in with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Limit, Text

Tier = Literal["free", "premium", "enterprise"]
"""How much may be asked of the API."""
Scope = Annotated[str, msgspec.Meta(pattern="^[a-z-]+:(read|write)$")]
"""One of the policy's that lends rights."""
Scopes = Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=50)]
Days = Annotated[int, msgspec.Meta(ge=1, le=366)]
OverlapHours = Annotated[int, msgspec.Meta(ge=0, le=168)]


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without what makes it one. `prefix` is how it begins; `used_at` may be a minute behind."""

    id: str
    user_id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    tier: Tier
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None


class NewApiKey(ApiKeyView, frozen=True, kw_only=True):
    """With the key itself, for the only time."""

    key: str


class ApiKeys(msgspec.Struct, frozen=True):
    items: tuple[ApiKeyView, ...]
    next_cursor: str | None = None


@message("user.list_api_keys")
class ListApiKeys(Query[ApiKeys], frozen=True):
    """The holder's keys that still open something, newest first."""

    holder: Identity


@message("user.make_api_key")
class MakeApiKey(Command[NewApiKey], frozen=True, kw_only=True):
    """A key of the free tier. It acts for the holder, within its scopes. Raises Invalid for a scope that the policy does not know; DomainError
    `api_key.too_many`, Forbidden `session.reauthenticate`."""

    holder: Identity
    name: Text
    scopes: Scopes
    days: Days = 90


@message("user.rotate_api_key")
class RotateApiKey(Command[NewApiKey], frozen=True, kw_only=True):
    """A new key in place of one, with its name, scopes and tier; the old one opens for so many hours more. Raises NotFound `api_key.not_found`,
    Forbidden `session.reauthenticate`."""

    holder: Identity
    key_id: str
    overlap_hours: OverlapHours = 24


@message("user.end_api_key")
class EndApiKey(Command[None], frozen=True):
    """It opens nothing any more. Raises NotFound `api_key.not_found`."""

    holder: Identity
    key_id: str


@message("user.find_api_keys")
class FindApiKeys(Query[ApiKeys], frozen=True, kw_only=True):
    """Everybody's, newest first: by the beginning of the key, or by whose it is."""

    prefix: str = ""
    user_id: str = ""
    cursor: str = ""
    limit: Limit = 24


@message("user.get_api_key")
class GetApiKey(Query[ApiKeyView], frozen=True):
    """Anybody's that still opens something. Raises NotFound `api_key.not_found`."""

    key_id: str


@message("user.set_api_key_tier")
class SetApiKeyTier(Command[ApiKeyView], frozen=True, kw_only=True):
    """Raises NotFound `api_key.not_found`."""

    key_id: str
    tier: Tier


@message("user.withdraw_api_key")
class WithdrawApiKey(Command[None], frozen=True):
    """Ends somebody's key. Raises NotFound `api_key.not_found`."""

    key_id: str


@message("user.api_key_made")
class ApiKeyMade(Event, frozen=True, kw_only=True):
    """A user has a new key."""

    user_id: str
    key_id: str
    prefix: str
    scopes: tuple[str, ...]
    ends_at: datetime
    replaces: str = ""


@message("user.api_key_ended")
class ApiKeyEnded(Event, frozen=True):
    """A key opens nothing any more."""

    user_id: str
    key_id: str
    prefix: str
