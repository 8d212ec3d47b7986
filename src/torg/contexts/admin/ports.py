"""What operators' views need around them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from torg.contexts.admin.contracts import Advice, AuditPage, AuditVerdict, CountryRule, InvariantReports, LogPlace, NetworkRule, RecordAudit
from torg.contexts.admin.model import Account
from torg.kit.access import Access
from torg.kit.auditing import Come, Fault, Place, Remedy
from torg.kit.calls import Call
from torg.kit.countries import Atlas
from torg.kit.deps import Deps
from torg.kit.http.form_tokens import FormTokens
from torg.kit.operations import DeskView
from torg.kit.store import Transaction
from torg.kit.values import Clock, Language, NewId

R = TypeVar("R", NetworkRule, CountryRule)
GRACE = timedelta(seconds=15)  # how long a doubt must last before it counts, where only time can tell


class Trail(Protocol):
    """The audit trail: lines are added and never changed."""

    async def add(self, tx: Transaction, record: RecordAudit) -> None: ...
    async def page(self, actor: str, about: str, cursor: str, limit: int) -> AuditPage:
        """Newest first; empty texts mean everybody and everything. Raises Invalid for a cursor of another make."""
        ...

    async def verify(self, kept: str) -> AuditVerdict:
        """Whether all lines are there, as they were filed; also the one with this digest, unless it is empty."""
        ...


class Rules(Protocol[R]):
    """Rules about networks, or about countries; those that have ended stay on record."""

    async def holding(self, now: datetime) -> tuple[R, ...]:
        """Newest first."""
        ...

    async def add(self, tx: Transaction, rule: R) -> None: ...
    async def end(self, tx: Transaction, id: str, by: str, now: datetime) -> bool:
        """False where none of this id holds."""
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

    async def some(self, order_ids: Collection[str]) -> dict[str, Account]:
        """Those there are, as committed."""
        ...

    async def unproven(self, after: str, limit: int) -> Sequence[Account]:
        """By order id, behind one."""
        ...

    async def prove(self, tx: Transaction, order_ids: Iterable[str]) -> None:
        """These fit together, until the next event about them."""
        ...

    async def rivals(self, account: Account) -> Sequence[str]:
        """Other orders of the same cart that have not come to nothing."""
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

    def lasting(self, about: str, faults: Iterable[Fault], now: datetime) -> list[Fault]:
        """Those whose sentences have been there for the whole time of grace; what is no longer among them is forgotten."""
        known, current = self._since.get(about, {}), {fault.sentence: fault for fault in faults}
        since = self._since[about] = {sentence: min(known.get(sentence, now), now) for sentence in current}
        return [fault for sentence, fault in current.items() if now - since[sentence] >= GRACE]


class Again:
    """How far the round through the old rows of all logs has come, since the process began."""

    def __init__(self) -> None:
        self._seen, self._whole, self._rounds = dict[str, int](), dict[str, int](), dict[str, int]()

    def begin(self, source: str) -> None:
        """Anew, with a log's first row."""
        self._whole[source], self._seen[source], self._rounds[source] = self._seen.get(source, 0), 0, self._rounds.get(source, 0) + 1

    def go_on(self, source: str, rows: int) -> None:
        """So many rows of a log were looked at."""
        self._seen[source] = self._seen.get(source, 0) + rows

    def told(self) -> Come:
        """Of all logs together; rounds of the one that comes round least often."""
        return Come(sum(self._seen.values()), sum(self._whole.values()), min((self._rounds.get(source, 0) for source in self._seen), default=0))


@dataclass
class Inspection:
    """What the process remembers between two looks at the invariants; `accounts` is what the last look has found in them, by invariant, and `followed`
    whether the present one has been at them. `troubled`: orders with a dead letter or a saga that wants help, and which of these."""

    latest: InvariantReports | None = None
    accounts: dict[str, list[Fault]] = field(default_factory=dict)
    followed: bool = False
    troubled: dict[str, Remedy] = field(default_factory=dict)
    rests: float = 0
    again: Again = field(default_factory=Again)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    doubts: Doubts = field(default_factory=Doubts)


class Guide(Protocol):
    """Where operators see and mend things."""

    def page(self, about: str, id: str) -> str:
        """What shows something; empty where nothing does."""
        ...

    def place(self, row: Place) -> LogPlace:
        """A row of a log, and what shows it."""
        ...

    def advice(self, remedy: Remedy, about: str, id: str) -> Advice:
        """What to do about something, and where."""
        ...


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
    networks: Rules[NetworkRule]
    countries: Rules[CountryRule]
    atlas: Atlas | None
    books: Books
    guide: Guide
    inspection: Inspection = field(default_factory=Inspection)


@dataclass(frozen=True)
class PageDeps:
    """What the staff's pages need: they ask everything by `call`."""

    call: Call
    clock: Clock
    new_id: NewId
    currency: str
    access: Access
    contexts: Collection[str]
    pages: Pages
    statics: Mapping[str, Static]
    form_tokens: FormTokens
