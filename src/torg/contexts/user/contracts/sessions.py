"""Who signed in, and what that is carried on with."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is carried on with. `expires_in` seconds from now the access token ends; the refresh token then buys the next pair, once."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 the scheme's name (RFC 6750)
    expires_in: int


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is signed in. `refreshed_at` is when it was used last, to a quarter of an hour; `current`: it is the one that asks."""

    id: str
    device: str = ""
    address: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    current: bool = False


class Sessions(msgspec.Struct, frozen=True):
    items: tuple[SessionView, ...]


@message("user.authenticate")
class Authenticate(Query[Identity | None], frozen=True):
    """Who holds this access token; None when it is unknown, expired or revoked."""

    token: str


@message("user.sign_in")
class SignIn(Command[Tokens], frozen=True, kw_only=True):
    """Opens a session. Raises Unauthenticated `session.bad_credentials`, the same for an unknown address; TooManyRequests
    `session.too_many_attempts` after many wrong passwords; Forbidden `session.password_outgrown` for one of the staff whose right one is too weak by now.

    `address` is the caller's network address, `device` what they came with; `guest_cart_id` names a cart that joins the user's."""

    email: str
    password: str
    address: str = ""
    device: str = ""
    guest_cart_id: str = ""


@message("user.refresh_session")
class RefreshSession(Command[Tokens], frozen=True):
    """Carries a session on with a new pair of tokens. Raises Unauthenticated `session.bad_refresh_token`; a token that was used before ends its session."""

    refresh_token: str


@message("user.sign_out")
class SignOut(Command[None], frozen=True):
    """Ends the session it is asked with, at once."""

    holder: Identity


@message("user.list_sessions")
class ListSessions(Query[Sessions], frozen=True):
    """Where the holder is signed in: this session first, then those used last."""

    holder: Identity


@message("user.end_session")
class EndSession(Command[None], frozen=True):
    """Ends one of the holder's sessions, at once. Raises NotFound `session.not_found`."""

    holder: Identity
    session_id: str


@message("user.sign_out_everywhere")
class SignOutEverywhere(Command[None], frozen=True):
    """Ends all sessions of the user."""

    holder: Identity


@message("user.signed_in_anew")
class SignedInAnew(Event, frozen=True, kw_only=True):
    """Somebody has signed in as a user who never did with such a device from such a network, and has before with others."""

    user_id: str
    session_id: str
    device: str


@message("user.token_reused")
class TokenReused(Event, frozen=True):
    """A refresh token came a second time, so somebody has a copy of it: the whole session was ended."""

    user_id: str
    session_id: str
