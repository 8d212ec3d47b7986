"""What stock needs around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.inventory.contracts import Allocation, ItemsReserved, ReservationFailed, Warehouse
from torg.contexts.inventory.model.allocation import Shelf
from torg.contexts.inventory.model.reservation import Reservation, ReservationStatus
from torg.kit.deps import Deps
from torg.kit.store import Transaction


@dataclass(frozen=True)
class ForSale:
    """A product's units for sale after a change, and below how many its keepers want to be told."""

    product_id: str
    available: int
    change: int
    alert_below: int

    @property
    def became_low(self) -> bool:
        return self.available < self.alert_below <= self.available - self.change


class Shelves(Protocol):
    """Stock per warehouse and product, and the units for sale. Every change gives the products' units for sale after it."""

    async def free(self, tx: Transaction, product_ids: Sequence[str]) -> Sequence[Shelf]:
        """Where there are free units of these products."""
        ...

    async def hold(self, tx: Transaction, parts: Sequence[Allocation]) -> Sequence[ForSale] | None:
        """Puts units aside, all or nothing; None when somebody else was faster."""
        ...

    async def let_go(self, tx: Transaction, parts: Sequence[Allocation]) -> Sequence[ForSale]: ...

    async def hand_over(self, tx: Transaction, order_id: str, parts: Sequence[Allocation]) -> None:
        """Held units leave the house; units for sale stay what they were."""
        ...

    async def put(self, tx: Transaction, parts: Sequence[Allocation], kind: str, reason: str) -> Sequence[ForSale]:
        """New or returned units; any number of parts in a handful of statements."""
        ...

    async def first_time(self, tx: Transaction, id: str) -> bool:
        """Whether something that counts once comes for the first time; remembers it."""
        ...

    async def available(self, product_ids: Sequence[str]) -> dict[str, int]:
        """In one statement, whatever their number; unknown products are left out."""
        ...


class Warehouses(Protocol):
    """Where stock lies."""

    async def add(self, tx: Transaction, warehouse: Warehouse) -> None: ...

    async def find(self, tx: Transaction, warehouse_id: str) -> Warehouse | None: ...

    async def all(self) -> Sequence[Warehouse]:
        """Oldest first."""
        ...

    async def first(self, tx: Transaction) -> str:
        """The oldest one's id. Raises NotFound `warehouse.none` while there is none."""
        ...


class Reservations(Protocol):
    """What each order holds."""

    async def find(self, tx: Transaction, order_id: str) -> Reservation | None: ...

    async def file(
        self, tx: Transaction, order_id: str, status: ReservationStatus, answer: ItemsReserved | ReservationFailed | None, hold_until: datetime | None
    ) -> None:
        """Writes it down anew, whatever was there."""
        ...

    async def move(self, tx: Transaction, found: Reservation, status: ReservationStatus) -> bool:
        """Into another status, without an end to it; False when it has left the one it was found in meanwhile."""
        ...

    async def run_out(self, now: datetime, limit: int) -> Sequence[str]:
        """Orders whose hold is over."""
        ...


@dataclass(frozen=True)
class InventoryDeps(Deps):
    shelves: Shelves
    warehouses: Warehouses
    reservations: Reservations


