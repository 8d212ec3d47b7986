"""What orders need around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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

    async def ordered_elsewhere(self, user_id: str, cart_id: str) -> bool:
        """Whether this cart became an order in another shard, where the user was before."""
        ...

    async def load(self, tx: Transaction, order_id: str) -> Order:
        """Raises NotFound `order.not_found`."""
        ...

    async def change(self, tx: Transaction, order: Order, events: Sequence[Event]) -> Order:
        """Appends the events and brings the read model up to date; the order as it is then."""
        ...

    async def relist(self, tx: Transaction, order_id: str, dry_run: bool) -> tuple[str, str]:
        """Makes the order's row, and which cart it was, what the log says, unless that is only asked; how it was listed and how it is, the same where that is
        right. Raises NotFound `order.not_found`."""
        ...

    async def find(self, order_id: str) -> OrderView | None: ...

    async def page(self, user_id: str, since: str, until: str, status: Status | None, cursor: str, limit: int) -> Page[OrderView]:
        """Newest first within [since, until), stamps or empty; an empty user_id means everybody's."""
        ...

    async def erase_later(self, tx: Transaction, user_id: str) -> None:
        """Files somebody who was erased: `erasable` gives their orders from now on."""
        ...

    async def erasable(self, limit: int) -> Sequence[tuple[str, str]]:
        """Orders (id, user id) of erased people that have ended and are not erased yet; nothing is under way for them."""
        ...

    async def erase(self, tx: Transaction, order: Order) -> None:
        """Takes what is personal out of the order's log and the list."""
        ...

    async def forget_erased(self, before: datetime) -> None:
        """Drops people who were filed, or had an order erased, before that, and have none left to erase."""
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
