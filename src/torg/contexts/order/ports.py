"""What orders need around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from torg.contexts.order.contracts import OrderCount, OrderPlaced, OrderView, Status
from torg.contexts.order.model import Order
from torg.kit.deps import Deps
from torg.kit.messages import Event
from torg.kit.pages import Page
from torg.kit.saga_runner import SagaRunner
from torg.kit.store import Transaction


class OrderStore(Protocol):
    """Orders as folds of the log, and the read model that lists them."""

    async def place(self, tx: Transaction, placed: OrderPlaced) -> Order:
        """Files a new order. Raises DomainError `cart.already_ordered`: a cart is ordered once."""
        ...

    async def load(self, tx: Transaction, order_id: str) -> Order:
        """Raises NotFound `order.not_found`."""
        ...

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        """Appends the events and brings the read model up to date; the order as it is then."""
        ...

    async def find(self, order_id: str) -> OrderView | None: ...

    async def page(self, user_id: str, since: str, until: str, status: Status | None, cursor: str, limit: int) -> Page[OrderView]:
        """Newest first within [since, until), stamps or empty; an empty user_id means everybody's."""
        ...

    async def count(self, since: str) -> Sequence[OrderCount]:
        """Orders placed since a stamp, by status."""
        ...


@dataclass(frozen=True)
class OrderDeps(Deps):
    """`pay_within`: how long a card may take to be paid; then the order is given up."""

    orders: OrderStore
    sagas: SagaRunner
    pay_within: timedelta
