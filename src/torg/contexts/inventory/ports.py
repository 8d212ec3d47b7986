"""What stock needs around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.inventory.contracts import (
    Allocation,
    ItemsReserved,
    LowStockLine,
    Movement,
    PurchaseOrder,
    PurchaseStatus,
    ReservationFailed,
    StockView,
    Supplier,
    Warehouse,
)
from torg.contexts.inventory.model.allocation import Shelf
from torg.contexts.inventory.model.reservation import Reservation, ReservationStatus
from torg.kit.deps import Deps
from torg.kit.messages import Event
from torg.kit.pages import Page
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

    async def correct(self, tx: Transaction, part: Allocation, reason: str) -> ForSale | None:
        """Adds a difference, which may be negative; None when less would be left than is reserved."""
        ...

    async def set(self, tx: Transaction, product_id: str, warehouse_id: str, on_hand: int, reserved: int) -> None:
        """Makes a shelf what the log says it is. Nothing has moved, so nothing is noted as a movement."""
        ...

    async def offer(self, tx: Transaction, product_id: str, change: int) -> ForSale:
        """So many units more, or fewer, for sale; the shelves stay what they are."""
        ...

    async def alert_below(self, tx: Transaction, product_id: str, threshold: int) -> ForSale:
        """Sets it; a product that stock does not know is known from then on."""
        ...

    async def view(self, product_id: str) -> StockView:
        """With every warehouse, oldest first."""
        ...

    async def movements(self, product_id: str, cursor: str, limit: int) -> Page[Movement]: ...

    async def low(self, cursor: str, limit: int) -> Page[LowStockLine]: ...

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

    async def page(self, cursor: str, limit: int) -> Page[Warehouse]:
        """By id, which is oldest first."""
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


class Purchasing(Protocol):
    """Suppliers and what is ordered from them. Pages are newest first."""

    async def add_supplier(self, tx: Transaction, supplier: Supplier) -> None: ...

    async def supplier(self, tx: Transaction, supplier_id: str) -> Supplier:
        """Raises NotFound `supplier.not_found`."""
        ...

    async def suppliers(self, cursor: str, limit: int) -> Page[Supplier]: ...

    async def file(self, tx: Transaction, order: PurchaseOrder) -> None: ...

    async def load(self, tx: Transaction, purchase_order_id: str) -> tuple[PurchaseOrder, int]:
        """With the version that `change` wants to hear. Raises NotFound `purchase_order.not_found`."""
        ...

    async def change(self, tx: Transaction, order: PurchaseOrder, version: int) -> None:
        """Raises ConcurrentChange when it is at another version by now."""
        ...

    async def find(self, purchase_order_id: str) -> PurchaseOrder:
        """Raises NotFound `purchase_order.not_found`."""
        ...

    async def page(self, status: PurchaseStatus | None, supplier_id: str, cursor: str, limit: int) -> Page[PurchaseOrder]: ...


Told = tuple[str, str]
"""A product, and what is wrong with it."""


class Book(Protocol):
    """Reads back what the log and the read models say, to compare them."""

    async def entries(self, after: int, limit: int) -> Sequence[tuple[int, Event]]:
        """(position, event) of those that move stock or reservations, oldest first; just those before which no other can appear any more."""
        ...

    async def entries_seen(self, tx: Transaction, after: int, limit: int) -> Sequence[tuple[int, Event]]:
        """All of them that the transaction sees."""
        ...

    async def products(self, after: str, limit: int) -> Sequence[str]:
        """So many products behind one that have shelves, in their order."""
        ...

    async def shelves(self, tx: Transaction, products: Sequence[str]) -> dict[tuple[str, str], tuple[int, int]]:
        """(on_hand, reserved) by (product, warehouse); empty shelves may be left out."""
        ...

    async def offers(self, tx: Transaction, products: Sequence[str]) -> dict[str, int]:
        """Units for sale by product, of those that stock knows."""
        ...

    async def live(self, after: str, limit: int) -> Sequence[str]:
        """So many orders behind one that hold something, in their order."""
        ...

    async def statuses(self, tx: Transaction, order_ids: Sequence[str]) -> dict[str, str]:
        """How the reservations of these orders stand, of those that have one."""
        ...

    async def broken_shelves(self, products: Sequence[str]) -> tuple[Sequence[Told], Sequence[Told]]:
        """Of these products a sentence for each shelf, and for each offer, whose numbers do not go together."""
        ...

    async def overdue(self, before: datetime) -> Sequence[str]:
        """Orders whose hold was over by then, some at most."""
        ...


@dataclass(frozen=True)
class InventoryDeps(Deps):
    shelves: Shelves
    warehouses: Warehouses
    reservations: Reservations
    purchasing: Purchasing
    book: Book
