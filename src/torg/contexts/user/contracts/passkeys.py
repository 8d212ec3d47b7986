"""Passkeys (WebAuthn): keys that people's own devices hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from torg.contexts.user.contracts.sessions import Tokens
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message


class PasskeyView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    made_at: datetime
    used_at: datetime | None


class Passkeys(msgspec.Struct, frozen=True):
    items: tuple[PasskeyView, ...]


class Challenge(msgspec.Struct, frozen=True):
    """What a browser asks a device: `options` as JSON (WebAuthn), with the ticket to answer with, good for five minutes, once."""

    options: str
    ticket: str


@message("user.passkey_changed")
class PasskeyChanged(Event, frozen=True):
    """A user has one more passkey, or one less."""

    user_id: str
    passkey_id: str
    added: bool


@message("user.list_passkeys")
class ListPasskeys(Query[Passkeys], frozen=True):
    """The holder's passkeys, oldest first."""

    holder: Identity


@message("user.begin_passkey")
class BeginPasskey(Command[Challenge], frozen=True, kw_only=True):
    """Asks a device of the holder for a new passkey. `password` proves who they are where nothing else has a moment ago. Raises Invalid for a wrong one,
    Forbidden `session.reauthenticate`, DomainError `passkey.too_many`."""

    holder: Identity
    password: str = ""


@message("user.add_passkey")
class AddPasskey(Command[PasskeyView], frozen=True, kw_only=True):
    """Takes the device's answer. Raises DomainError `passkey.refused`."""

    holder: Identity
    ticket: str
    credential: str
    name: Annotated[str, msgspec.Meta(max_length=60)] = ""


@message("user.remove_passkey")
class RemovePasskey(Command[None], frozen=True):
    """It opens nothing any more; after the last one, none is asked for. Raises NotFound `passkey.not_found`, Forbidden `session.reauthenticate`."""

    holder: Identity
    passkey_id: str


@message("user.begin_passkey_sign_in")
class BeginPasskeySignIn(Command[Challenge], frozen=True):
    """Asks a device for any passkey of this shop."""


@message("user.sign_in_with_passkey")
class SignInWithPasskey(Command[Tokens], frozen=True, kw_only=True):
    """Opens a session: the device has seen to it who holds it, so neither password nor code is asked for. Raises Unauthenticated `passkey.refused`."""

    ticket: str
    credential: str
    address: str = ""
    device: str = ""
    guest_cart_id: str = ""
