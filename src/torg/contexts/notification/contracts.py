"""What people are told, where, and whether they want to be."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Language, Limit, Money

Kind = Literal[
    "user.registered", "order.placed", "payment.redirected", "order.confirmed", "order.shipped", "order.delivered", "order.rejected", "order.cancelled",
    "order.cancellation_failed", "order.return_requested", "order.returned", "order.return_failed", "payment.refunded", "review.published",
    "review.rejected", "review.replied", "inventory.low_stock", "user.confirm_email", "user.reset_password", "user.email_change_asked",
    "user.password_changed", "user.email_changed", "user.signed_in_anew", "user.sessions_ended", "user.factor_added", "user.factor_removed",
    "user.passkey_added", "user.passkey_removed",
]  # fmt: skip
"""What a notification is about: the name of the event."""
Channel = Literal["feed", "email"]


class FactLine(msgspec.Struct, frozen=True):
    name: str
    quantity: int
    total: Money


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a notification has to tell, apart from its words: those are found when somebody reads it, in their language. Nothing in it says who.
    `sealed`: a link of the user context's, and where to, which is opened when the letter is written, under the subject's name."""

    total: Money | None = None
    reason: str = ""
    city: str = ""
    delivery_date: datetime | None = None
    tracking_number: str = ""
    url: str = ""
    product_id: str = ""
    available: int = 0
    lines: tuple[FactLine, ...] = ()
    sealed: str = ""
    subject: str = ""
    device: str = ""


@message("notification.added")
class NotificationAdded(Event, frozen=True, kw_only=True):
    """Somebody's feed has a new entry; their feed's stream is named for them."""

    notification_id: str
    user_id: str
    kind: Kind
    order_id: str = ""
    facts: Facts


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a feed, in the reader's language. `link` leads to what it is about."""

    id: str
    kind: Kind
    title: str
    text: str
    order_id: str | None
    link: str
    read: bool
    created_at: datetime


class Feed(msgspec.Struct, frozen=True):
    """`unread` counts the whole feed, not the page."""

    items: tuple[Notification, ...]
    next_cursor: str | None
    unread: int


@message("notification.list")
class ListNotifications(Query[Feed], frozen=True, kw_only=True):
    """The reader's feed, newest first."""

    reader: Identity
    language: Language
    cursor: str = ""
    limit: Limit = 24


class Unread(msgspec.Struct, frozen=True):
    unread: int


@message("notification.mark_read")
class MarkRead(Command[Unread], frozen=True):
    """Marks one entry of the feed as read; harmless when repeated. Raises NotFound `notification.not_found`."""

    notification_id: str
    reader: Identity


@message("notification.mark_all_read")
class MarkAllRead(Command[Unread], frozen=True):
    """Marks the whole feed as read."""

    reader: Identity


class Preference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether somebody wants to be told of a kind on a channel. Not `changeable`: part of the sale, so it is always told."""

    kind: Kind
    channel: Channel
    enabled: bool
    changeable: bool = True


class Preferences(msgspec.Struct, frozen=True):
    items: tuple[Preference, ...]


@message("notification.get_preferences")
class GetPreferences(Query[Preferences], frozen=True):
    """All kinds and channels there are, and whether they are wanted."""

    reader: Identity


@message("notification.change_preferences")
class ChangePreferences(Command[Preferences], frozen=True):
    """Changes what is listed, and leaves the rest. Raises Invalid for what can't be switched off."""

    reader: Identity
    items: Annotated[tuple[Preference, ...], msgspec.Meta(max_length=100)]
