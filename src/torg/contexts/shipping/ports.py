"""What deliveries need around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from torg.contexts.shipping.contracts import DeliveryStatus
from torg.contexts.shipping.model.delivery import Delivery, Status
from torg.kit.deps import Deps
from torg.kit.pages import Page
from torg.kit.store import Transaction


class Deliveries(Protocol):
    """Parcels, and the memory of those that are not to be."""

    async def book(self, tx: Transaction, delivery: Delivery) -> bool:
        """Files a new one; False when its order (or return) has one already, a refused one included."""
        ...

    async def of(self, tx: Transaction, order_id: str, return_id: str = "") -> Delivery | None:
        """An order's (or return's) delivery, a refused one included."""
        ...

    async def load(self, tx: Transaction, delivery_id: str) -> Delivery:
        """Raises NotFound `delivery.not_found`."""
        ...

    async def move(self, tx: Transaction, delivery: Delivery, before: Status) -> bool:
        """Files its new status and dates; False when it has left the status `before` meanwhile."""
        ...

    async def confirm(self, tx: Transaction, order_id: str) -> None:
        """The order's parcel may go."""
        ...

    async def find(self, delivery_id: str) -> Delivery:
        """Raises NotFound `delivery.not_found`."""
        ...

    async def find_all(self, delivery_ids: Sequence[str]) -> Sequence[Delivery]:
        """Of several at once; those that there are."""
        ...

    async def page(self, user_id: str, order_id: str, status: DeliveryStatus | None, cursor: str, limit: int) -> Page[Delivery]:
        """Newest first; an empty user_id means everybody's."""
        ...

    async def erase_later(self, tx: Transaction, user_id: str) -> None:
        """Files somebody who was erased: `erasable` gives their parcels from now on."""
        ...

    async def erasable(self, lost: datetime, limit: int) -> Sequence[Delivery]:
        """Parcels to erased people, refused ones included, that are not erased yet and of whose orders nothing is under way. What was to be
        fetched back since before `lost` and never came counts as ended."""
        ...

    async def erase(self, tx: Transaction, delivery: Delivery) -> None:
        """Files where it went without what is personal."""
        ...

    async def erase_failed(self, lost: datetime) -> None:
        """Takes what is personal out of bookings for erased people that were given up as dead letters, once their orders have ended."""
        ...

    async def forget_erased(self, before: datetime) -> None:
        """Drops people who were filed, or had a parcel erased, before that, and have none left to erase."""
        ...

    async def waiting(self, before: datetime, now: datetime, limit: int) -> Sequence[str]:
        """Parcels that may go on and have not moved since; or that moved while a clock was ahead, as nobody knows how long ago that was."""
        ...


@dataclass(frozen=True)
class ShippingDeps(Deps):
    """`stage`: how long the simulated carrier takes for each step; None leaves it to couriers."""

    deliveries: Deliveries
    stage: timedelta | None
