"""Where analytics keeps its facts: SQL here, a column store in a fleet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.model import Fact
from torg.kit.deps import Deps
from torg.kit.operations import DeskView
from torg.kit.store import Transaction


@dataclass(frozen=True)
class ReportRow:
    """What a report says of one key of its dimension."""

    key: str
    orders: int
    units: int
    revenue: int


@dataclass(frozen=True)
class Recounted:
    """How many sales there were, those included that were undone; and how many rows of the reports had been wrong, where that is known."""

    sales: int
    mended: int | None


class Facts(Protocol):
    """Sales and behaviour, and the reports over them. Days are UTC, as 2026-11-21; money is minor units.

    What is told takes effect with the transaction, each thing once: a sale by its order, a return and behaviour by their ids. Reports show it within
    seconds."""

    async def count(self, tx: Transaction, fact: Fact) -> None:
        """Adds a sale to its day, or takes back from that day what has come back. Nothing happens where no sale stands."""
        ...

    async def recount(self, history: AsyncIterator[Sequence[Fact]]) -> Recounted:
        """Counts all sales anew, as the whole history tells them, while the reports go on; what is told meanwhile is counted as well, once. Of two that
        are asked for at the same time one waits, or raises ConcurrentChange."""
        ...

    async def record(self, tx: Transaction, events: Sequence[Behaviour], at: datetime) -> int:
        """Files behaviour by the clients' ids; how many of them were new."""
        ...

    async def step(self, tx: Transaction, step: str, visitor: str, at: datetime) -> None:
        """A visitor reached a step of the funnel on a day."""
        ...

    async def forget(self, tx: Transaction, visitor: str) -> None:
        """What this visitor looked at and searched for is forgotten; sales and counts stay, under the bare id."""
        ...

    async def report(self, dimension: str, since: date, until: date, by: str, limit: int) -> Sequence[ReportRow]:
        """A dimension's rows (day, city, product, category) over [since, until), best first by `orders`, `units` or `revenue`, or in order of their `key`."""
        ...

    async def funnel(self, since: date, until: date) -> dict[str, int]: ...
    async def together(self, product_id: str, limit: int) -> Sequence[str]: ...
    async def cohorts(self, since_month: str) -> Sequence[tuple[str, str, int]]:
        """(month of first order, month, buyers active in it), in order."""
        ...

    async def days(self, after: str, limit: int) -> Sequence[str]:
        """So many days behind one on which something was sold or is reported, in order."""
        ...

    async def newest_days(self) -> Sequence[str]:
        """The newest two of those."""
        ...

    async def miscounted(self, days: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Of these days, those whose report is not what a recount of its sales gives, with the orders of the recount and of the report."""
        ...

    async def first_sale(self, day: str) -> str:
        """The first order of a day that stands; empty where none does."""
        ...


@dataclass(frozen=True)
class AnalyticsDeps(Deps):
    facts: Facts
    desks: Mapping[str, DeskView]
