"""What notifications need around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.notification.contracts import Channel, Facts, Kind
from torg.contexts.notification.model import Addressee, MailResult, QueuedMail
from torg.kit.auth import Role
from torg.kit.deps import Deps
from torg.kit.mail import Letter, Mailer
from torg.kit.messages import Event
from torg.kit.pages import Page
from torg.kit.store import Transaction


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What is told to one person, once for each `subject` and kind. `order_id` is empty where it is not about an order."""

    id: str
    user_id: str
    kind: Kind
    subject: str
    order_id: str
    facts: Facts
    created_at: datetime
    read: bool = False


class FeedStore(Protocol):
    """What people were told in the shop itself."""

    async def add(self, tx: Transaction, entry: Entry) -> bool:
        """Files it, and logs it for live streams; False when they were told already."""
        ...

    async def page(self, user_id: str, cursor: str, limit: int) -> Page[Entry]:
        """Newest first."""
        ...

    async def unread(self, user_id: str, tx: Transaction | None = None) -> int: ...

    async def mark_read(self, tx: Transaction, user_id: str, entry_id: str = "") -> bool:
        """One entry, or all of them; False when there is no such entry."""
        ...

    async def buyer_of(self, tx: Transaction, order_id: str) -> str:
        """Empty while the order has not been heard of."""
        ...

    async def keep_early(self, tx: Transaction, order_id: str, event: Event) -> None:
        """Keeps what was said about an order that has not been heard of."""
        ...

    async def take_early(self, tx: Transaction, order_id: str) -> Sequence[Event]: ...
    async def stranded(self, limit: int) -> Sequence[str]:
        """Orders that have been heard of, about which something is still kept: it was heard at the same moment, by another process."""
        ...

    async def erase(self, tx: Transaction, user_id: str) -> None:
        """Leaves of their feed just that there was one."""
        ...


class ContactStore(Protocol):
    """How people can be reached, and what they want to hear."""

    async def put(self, tx: Transaction, user_id: str, addressee: Addressee) -> None: ...
    async def put_roles(self, tx: Transaction, user_id: str, roles: frozenset[Role]) -> None: ...
    async def with_role(self, tx: Transaction, role: Role) -> Sequence[str]: ...
    async def erase(self, tx: Transaction, user_id: str) -> None: ...
    async def choices(self, user_id: str) -> Mapping[tuple[str, str], bool]:
        """What they have chosen, by kind and channel."""
        ...

    async def wants(self, tx: Transaction, user_id: str, kind: Kind, channel: Channel) -> bool: ...
    async def choose(self, tx: Transaction, user_id: str, kind: Kind, channel: Channel, wanted: bool) -> None: ...


@dataclass(frozen=True, kw_only=True)
class MailRecord:
    """A letter as operators and the mailbox page see it. `status`: queued, sent, skipped (unwanted) or dead."""

    id: str
    user_id: str
    kind: Kind
    order_id: str
    status: str
    tries: int
    recipient: str
    created_at: datetime
    detail: str


class MailStore(Protocol):
    """Letters on their way, and what became of them."""

    async def queue(self, tx: Transaction, entry: Entry) -> None:
        """One for each subject and kind; a second one is not filed."""
        ...

    async def any_due(self, now: datetime) -> bool: ...

    async def claim(self, tx: Transaction, now: datetime, until: datetime, limit: int) -> Sequence[QueuedMail]:
        """Takes what is due; nobody else gets it before `until`."""
        ...

    async def settle(self, tx: Transaction, results: Sequence[MailResult], now: datetime) -> None:
        """Files what became of a try, and the try itself."""
        ...

    async def page(self, user_id: str, cursor: str, limit: int) -> Page[MailRecord]:
        """Newest first; an empty user_id means everybody's."""
        ...

    async def find(self, mail_id: str) -> MailRecord | None: ...

    async def erase(self, tx: Transaction, user_id: str) -> Sequence[str]:
        """Leaves of their letters just that there were some; what is still queued is skipped. The ids of those that were sent."""
        ...


class LetterWriter(Protocol):
    """Puts a letter into words, as plain text and as HTML."""

    def write(self, mail: QueuedMail) -> Letter: ...


class SentLetters(Protocol):
    """Copies of what was sent, where there are any."""

    def remove(self, id: str) -> None: ...


@dataclass(frozen=True)
class NotificationDeps(Deps):
    feed: FeedStore
    contacts: ContactStore
    mails: MailStore
    writer: LetterWriter
    mailer: Mailer
    copies: SentLetters | None
