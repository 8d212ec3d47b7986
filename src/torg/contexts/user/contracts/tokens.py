"""The keys that tokens are signed with."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Command, Event, Query, message
from torg.kit.tokens import Jwk


class Jwks(msgspec.Struct, frozen=True):
    """A key set (RFC 7517, section 5)."""

    keys: tuple[Jwk, ...]


class PublicKeys(msgspec.Struct, frozen=True):
    """Whose tokens these keys have signed."""

    issuer: str
    keys: tuple[Jwk, ...]


@message("user.get_public_keys")
class GetPublicKeys(Query[PublicKeys], frozen=True):
    """What signs tokens now, will sign soon, or has signed one that still lives."""


@message("user.get_jwks")
class GetJwks(Query[Jwks], frozen=True):
    """The public keys that tokens of this shop are checked with."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the ring. It is published before it signs, and believed until the last token that it signed has run out."""

    kid: str
    made_at: datetime
    signs_from: datetime
    verifies_until: datetime | None


class KeyRing(msgspec.Struct, frozen=True):
    items: tuple[SigningKey, ...]


@message("user.rotate_keys")
class RotateKeys(Command[KeyRing], frozen=True):
    """Makes a new key, which signs from a minute from now on. `compromised`: it signs at once and all others are believed no more, so that everybody has
    to renew their session."""

    compromised: bool = False


@message("user.keys_rotated")
class KeysRotated(Event, frozen=True):
    """There is a new key to sign tokens with."""

    kid: str
    compromised: bool
