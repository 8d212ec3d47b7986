"""Signing in with an OpenID provider outside."""

from __future__ import annotations

from typing import Annotated

import msgspec

from torg.contexts.user.contracts.sessions import Tokens
from torg.kit.messages import Command, Event, message
from torg.kit.values import Language

Sealed = Annotated[str, msgspec.Meta(max_length=5000)]
Returned = Annotated[str, msgspec.Meta(max_length=2000)]


class Departure(msgspec.Struct, frozen=True):
    """Where to send the browser, and what it is to bring back: nobody but the shop can read it."""

    where: str
    kept: str


@message("user.leave_for_provider")
class LeaveForProvider(Command[Departure], frozen=True):
    """Begins a sign-in at the provider; `next` is the page to come back to. `anew`: they are to show there again who they
    are. Raises NotFound `outside.none`, Unavailable."""

    next: str
    anew: bool = False


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. With a `ticket` a second factor is asked for, in one of `ways`, as after a password. Without that and without `tokens` there is an
    account with this e-mail address already: its password is needed once, with what is `kept`."""

    next: str
    tokens: Tokens | None = None
    ticket: str = ""
    ways: tuple[str, ...] = ()
    email: str = ""
    kept: str = ""


@message("user.arrive_from_provider")
class ArriveFromProvider(Command[Arrival], frozen=True, kw_only=True):
    """Ends a sign-in at the provider. Raises Unauthenticated `outside.refused`, DomainError `outside.email_unverified`, Unavailable."""

    kept: Sealed
    state: Returned = ""
    code: Returned = ""
    iss: Returned = ""
    error: Returned = ""
    address: str = ""
    device: str = ""
    guest_cart_id: str = ""
    language: Language = Language.EN


@message("user.link_outside")
class LinkOutside(Command[Arrival], frozen=True, kw_only=True):
    """Proves by its password that the account is theirs too; from now on the provider is enough. Raises as SignIn does, and Unauthenticated
    `outside.refused` for what is too old."""

    kept: Sealed
    password: str
    address: str = ""
    device: str = ""
    guest_cart_id: str = ""


@message("user.outside_linked")
class OutsideLinked(Event, frozen=True, kw_only=True):
    """A user may sign in with a provider outside."""

    user_id: str
    issuer: str
