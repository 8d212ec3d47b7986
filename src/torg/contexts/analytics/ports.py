"""Where analytics keeps its facts: SQL here, a column store in a fleet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from torg.contexts.analytics.contracts import Behaviour
from torg.contexts.analytics.model import Count
from torg.contexts.order.contracts import OrderLine
from torg.kit.deps import Deps
from torg.kit.store import Transaction


@dataclass(frozen=True)
class Sale:
    """A confirmed order as it was counted; `lines` are those not returned yet."""

    order_id: str
    user_id: str
    day: str
    city: str
    revenue: int
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True)
class ReportRow:
    """What a report says of one key of its dimension."""

    key: str
    orders: int
    units: int
    revenue: int


class Facts(Protocol):
    """Sales and behaviour, and the reports over them. Days are UTC, as 2026-11-21; money is minor units."""

    async def add_sale(self, tx: Transaction, sale: Sale) -> None: ...
    async def sale(self, tx: Transaction, order_id: str) -> Sale | None: ...
    async def drop_sale(self, tx: Transaction, order_id: str) -> None:
        """Nothing of it is sold any more."""
        ...

    async def keep_sale(self, tx: Transaction, sale: Sale) -> None:
        """Part of it came back: what is left."""
        ...

    async def count(self, tx: Transaction, day: str, counts: Iterable[Count]) -> None: ...
    async def pair(self, tx: Transaction, pairs: Iterable[tuple[str, str]]) -> None: ...
    async def record(self, tx: Transaction, events: Sequence[Behaviour], at: datetime) -> int:
        """Files behaviour by the clients' ids; how many of them were new."""
        ...

    async def step(self, tx: Transaction, step: str, visitor: str, at: datetime) -> None:
        """A visitor reached a step of the funnel on a day."""
        ...

    async def report(self, dimension: str, since: date, until: date, by: str, limit: int) -> Sequence[ReportRow]:
        """A dimension's rows over [since, until), best first by `orders`, `units` or `revenue`; days in order of time."""
        ...

    async def funnel(self, since: date, until: date) -> dict[str, int]: ...
    async def together(self, product_id: str, limit: int) -> Sequence[str]: ...
    async def cohorts(self, since_month: str) -> Sequence[tuple[str, str, int]]:
        """(month of first order, month, buyers active in it), in order."""
        ...

    async def miscounted(self) -> list[str]:
        """A sentence for each day whose report is not what a recount of its sales gives."""
        ...


@dataclass(frozen=True)
class AnalyticsDeps(Deps):
    facts: Facts
