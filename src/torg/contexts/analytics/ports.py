"""Where analytics keeps its facts: SQL here, a column store in a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from torg.contexts.analytics.contracts import Behaviour
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
class Return:
    """Part of an order came back: these goods, for so much."""

    order_id: str
    return_id: str
    goods: tuple[OrderLine, ...]
    refund: int


@dataclass(frozen=True)
class ReportRow:
    """What a report says of one key of its dimension."""

    key: str
    orders: int
    units: int
    revenue: int


class Facts(Protocol):
    """Sales and behaviour, and the reports over them. Days are UTC, as 2026-11-21; money is minor units.

    What is told takes effect with the transaction, each thing once: a sale by its order, behaviour by its id. Reports show it within seconds."""

    async def sold(self, tx: Transaction, sale: Sale) -> None:
        """Counts a sale on its day."""
        ...

    async def returned(self, tx: Transaction, part: Return) -> None:
        """Takes back a part from the day of the sale; the rest stays an order. Nothing happens where no sale stands."""
        ...

    async def undone(self, tx: Transaction, order_id: str) -> None:
        """Takes back what is left of a sale from its day. Nothing happens where no sale stands."""
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

    async def miscounted(self) -> list[str]:
        """A sentence for each day whose report is not what a recount of its sales gives."""
        ...


@dataclass(frozen=True)
class AnalyticsDeps(Deps):
    facts: Facts
