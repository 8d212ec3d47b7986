"""What operators' views need around them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from torg.contexts.admin.contracts import AuditPage, InvariantReports, RecordAudit
from torg.contexts.admin.model import Account
from torg.kit.calls import Call
from torg.kit.deps import Deps
from torg.kit.operations import DeskView
from torg.kit.store import Transaction
from torg.kit.values import Clock, Language, NewId

GRACE = timedelta(seconds=15)  # how long a doubt must last before it counts, where only time can tell


class Trail(Protocol):
    """The audit trail: rows are added and never changed."""

    async def add(self, tx: Transaction, record: RecordAudit) -> None: ...
    async def page(self, actor: str, about: str, cursor: str, limit: int) -> AuditPage:
        """Newest first; empty texts mean everybody and everything. Raises Invalid for a cursor of another make."""
        ...


@dataclass(frozen=True)
class SalesDay:
    """Sales of a day that were not undone, by the logs; `revenue` in minor units."""

    day: str
    orders: int
    revenue: int


class Books(Protocol):
    """The accounts of orders, and how far each log has been read."""

    async def read_until(self, what: str, source: str) -> int: ...
    async def set_read_until(self, tx: Transaction, what: str, source: str, position: int) -> None: ...
    async def accounts(self, tx: Transaction, order_ids: Collection[str]) -> dict[str, Account]:
        """Those there are."""
        ...

    async def keep(self, tx: Transaction, accounts: Iterable[Account]) -> None:
        """Files them as unproven."""
        ...

    async def unproven(self, after: str, limit: int) -> Sequence[Account]:
        """By order id, behind one."""
        ...

    async def prove(self, tx: Transaction, order_ids: Iterable[str]) -> None:
        """These fit together, until the next event about them."""
        ...

    async def rivals(self, account: Account) -> Sequence[str]:
        """Other orders of the same cart."""
        ...

    async def add_sales(self, tx: Transaction, changes: Mapping[str, tuple[int, int]]) -> None:
        """Changes days' orders and revenue by so much."""
        ...

    async def unproven_days(self) -> Sequence[SalesDay]: ...
    async def prove_day(self, tx: Transaction, day: SalesDay) -> None:
        """Its report is right, as long as nothing more was sold."""
        ...

    async def torn(self) -> Sequence[tuple[str, str]]:
        """(source, stream) of the streams in which versions were seen to be missing."""
        ...

    async def set_torn(self, tx: Transaction, source: str, stream: str, torn: bool) -> None: ...


class Doubts:
    """What looked wrong, since when: in memory, so that after a start everything is given its time again."""

    def __init__(self) -> None:
        self._since: dict[str, dict[str, datetime]] = {}

    def lasting(self, about: str, sentences: Iterable[str], now: datetime) -> list[str]:
        """Those of `sentences` that have been there for the whole time of grace; what is no longer among them is forgotten."""
        known = self._since.get(about, {})
        current = {sentence: min(known.get(sentence, now), now) for sentence in sentences}
        self._since[about] = current
        return [sentence for sentence, since in current.items() if now - since >= GRACE]


@dataclass
class Inspection:
    """What the process remembers between two looks at the invariants; `accounts` is what the present look has found in them, by invariant."""

    latest: InvariantReports | None = None
    taken_at: datetime | None = None
    accounts: dict[str, list[str]] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    doubts: Doubts = field(default_factory=Doubts)


class Pages(Protocol):
    """Templates, in the staff's languages."""

    def render(self, name: str, language: Language, values: Mapping[str, object]) -> str:
        """The page of a template; text is escaped wherever it comes from."""
        ...

    def say(self, text: str, language: Language) -> str:
        """An English text in another language, or as it is."""
        ...


@dataclass(frozen=True)
class Static:
    """A file that pages are made with, and its compressed form."""

    media: str
    body: bytes
    gzipped: bytes


@dataclass(frozen=True)
class AdminDeps(Deps):
    desks: Mapping[str, DeskView]
    trail: Trail
    books: Books
    inspection: Inspection = field(default_factory=Inspection)


@dataclass(frozen=True)
class PageDeps:
    """What the staff's pages need: they ask everything by `call`."""

    call: Call
    clock: Clock
    new_id: NewId
    currency: str
    contexts: Collection[str]
    pages: Pages
    statics: Mapping[str, Static]
