"""What letters carry links for: confirming an address, and a new password."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.contexts.user.contracts.accounts import NEW_PASSWORD
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, message

Purpose = Literal["confirm", "reset"]
LETTERS = "torg.letters"
"""What links in events are sealed for."""


class Link(msgspec.Struct, frozen=True):
    """What a letter says of a link: its path, and the address where the letter goes, if that is another one than the user's."""

    path: str
    to: str = ""


@message("user.link_made")
class LinkMade(Event, frozen=True, kw_only=True):
    """A letter is to carry a link that works once. `sealed` is a Link, which only the shop's secret opens: whoever reads logs gets none."""

    user_id: str
    link_id: str
    purpose: Purpose
    sealed: str
    at: datetime


@message("user.email_change_asked")
class EmailChangeAsked(Event, frozen=True, kw_only=True):
    """Somebody who had signed in wants letters to go to another address, which is to confirm it first; the one of before is told."""

    user_id: str
    link_id: str


@message("user.email_changed")
class EmailChanged(Event, frozen=True, kw_only=True):
    """Letters go to another address from now on; the one of before hears of it. `sealed` is a Link, as in LinkMade."""

    user_id: str
    link_id: str
    sealed: str


@message("user.send_confirmation")
class SendConfirmation(Command[None], frozen=True):
    """Sends the link again with which the holder's e-mail address is confirmed, or the one they want instead. Raises TooManyRequests
    `user.too_many_letters`; DomainError `user.confirmed` where there is nothing to confirm."""

    holder: Identity


@message("user.confirm_email")
class ConfirmEmail(Command[None], frozen=True):
    """Confirms the address that a link was sent to; from now on it is its user's. Raises DomainError `user.bad_link`, `user.email_taken`."""

    token: str


@message("user.request_reset")
class RequestReset(Command[None], frozen=True, kw_only=True):
    """Sends a link for a new password to this address, if there is an account. What is answered, and when, says nothing about that. Raises TooManyRequests
    `user.too_many_letters`."""

    email: str
    address: str = ""


@message("user.reset_password")
class ResetPassword(Command[None], frozen=True, kw_only=True):
    """Sets a new password with a link, and ends all sessions. Raises DomainError `user.bad_link`, Invalid for a weak password."""

    RULES = NEW_PASSWORD

    token: str
    new_password: str
