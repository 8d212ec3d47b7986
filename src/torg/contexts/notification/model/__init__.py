"""The rules of notifications: what is told to whom on which channel, and how long to wait before a letter is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import get_args

from torg.contexts.notification.contracts import Channel, FactLine, Facts, Kind, Preference
from torg.contexts.order.contracts import OrderLine
from torg.kit.values import Language


@dataclass(frozen=True)
class Telling:
    """How a kind is told. `email`: there is a letter for it. `firm`: it belongs to the sale, so nobody can switch it off on any channel; what
    is not firm can be switched off by e-mail, and in the feed where it is not about an order. Not `feed`: it is told by letter alone."""

    email: bool = False
    firm: bool = False
    of_order: bool = True
    feed: bool = True


TELLINGS: Mapping[Kind, Telling] = {
    "user.registered": Telling(email=True, of_order=False),
    "order.placed": Telling(),
    "payment.redirected": Telling(),
    "order.confirmed": Telling(email=True, firm=True),
    "order.shipped": Telling(email=True),
    "order.delivered": Telling(email=True),
    "order.rejected": Telling(email=True, firm=True),
    "order.cancelled": Telling(email=True, firm=True),
    "order.cancellation_failed": Telling(email=True),
    "order.return_requested": Telling(email=True),
    "order.returned": Telling(),
    "order.return_failed": Telling(email=True),
    "payment.refunded": Telling(email=True, firm=True),
    "review.published": Telling(of_order=False),
    "review.rejected": Telling(of_order=False),
    "review.replied": Telling(email=True, of_order=False),
    "inventory.low_stock": Telling(of_order=False),
    "user.confirm_email": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.reset_password": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.email_change_asked": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.password_changed": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.email_changed": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.signed_in_anew": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.sessions_ended": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.factor_added": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.factor_removed": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.passkey_added": Telling(email=True, firm=True, of_order=False, feed=False),
    "user.passkey_removed": Telling(email=True, firm=True, of_order=False, feed=False),
}
CARRY_LINKS: frozenset[Kind] = frozenset({"user.confirm_email", "user.reset_password"})
"""Letters that open something to whoever reads them."""
TO_ANYBODY: frozenset[Kind] = CARRY_LINKS | {"user.registered"}
"""Letters that a stranger can have sent to any address by registering with it: they say nothing that the stranger has typed, not even a name."""
assert set(TELLINGS) == set(get_args(Kind)), "every kind says how it is told"


def preferences(chosen: Mapping[tuple[str, str], bool]) -> tuple[Preference, ...]:
    """Every kind on every channel it has, as chosen, or wanted where nothing was chosen."""
    return tuple(
        Preference(kind=kind, channel=channel, enabled=chosen.get((kind, channel), True), changeable=changeable(kind, channel))
        for kind, telling in TELLINGS.items()
        if telling.feed
        for channel in channels(telling)
    )


def channels(telling: Telling) -> tuple[Channel, ...]:
    return ("feed", "email") if telling.email else ("feed",)


def changeable(kind: Kind, channel: Channel) -> bool:
    """Whether somebody may say no to it: the feed is the record of their orders, and letters about money are the shop's duty."""
    telling = TELLINGS[kind]
    return channel in channels(telling) and not telling.firm and not (channel == "feed" and telling.of_order)


def receipt(lines: tuple[OrderLine, ...]) -> tuple[FactLine, ...]:
    return tuple(FactLine(line.name, line.quantity, line.line_total) for line in lines)


# ---------------------------------------------------------------- letters

TRIES = 12
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)


def pause(tries: int) -> timedelta:
    """How long to wait after so many failed tries: twice as long each time, within bounds."""
    return min(FIRST_PAUSE * 2.0 ** min(tries - 1, 20), LONGEST_PAUSE)


@dataclass(frozen=True, kw_only=True)
class Addressee:
    """How to reach somebody, as far as is known here; `email` is empty for one who was erased."""

    email: str
    full_name: str
    language: Language


@dataclass(frozen=True, kw_only=True)
class QueuedMail:
    """A letter that is to be written and sent. `addressee` is None while their registration has not been heard of; `unwanted`: they said no."""

    id: str
    user_id: str
    kind: Kind
    order_id: str
    facts: Facts
    tries: int
    created_at: datetime
    addressee: Addressee | None
    unwanted: bool


@dataclass(frozen=True, kw_only=True)
class MailResult:
    """What came of a try: the mail's next status, when to try again, and what is recorded of the try."""

    mail_id: str
    number: int
    status: str
    next_at: datetime
    recipient: str
    outcome: str
    detail: str


def settle(mail: QueuedMail, outcome: str, detail: str, now: datetime) -> MailResult:
    """Sent, skipped and refused are ends; what was deferred is tried again, until the last try makes it a dead letter."""
    number = mail.tries + 1
    ends = {"sent": "sent", "skipped": "skipped", "refused": "dead"}
    status = ends.get(outcome) or ("dead" if number >= TRIES else "queued")
    return MailResult(
        mail_id=mail.id, number=number, status=status, next_at=now + pause(number), recipient=mail.addressee.email if mail.addressee else "",
        outcome=outcome, detail=detail,
    )  # fmt: skip
