"""What the log of stock adds up to: the truth that the read models must agree with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torg.contexts.inventory import contracts as c
from torg.kit.messages import Event

Key = tuple[str, str]
"""Product and warehouse."""

MOVING: tuple[type[Event], ...] = (
    c.StockReceived, c.StockCorrected, c.ItemsReserved, c.ItemsReleased, c.ReservationExpired, c.ItemsShipped, c.ItemsRestocked,
)  # fmt: skip


@dataclass
class Ledger:
    """on_hand = received - shipped + returned + corrections; reserved = what live reservations hold. `touched` and `moved` are the
    products and orders of which something has changed, until somebody takes them out."""

    on_hand: dict[Key, int] = field(default_factory=dict)
    reserved: dict[Key, int] = field(default_factory=dict)
    live: dict[str, tuple[c.Allocation, ...]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    _warehouses: dict[str, set[str]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """One more event; those that move nothing are welcome too."""
        match event:
            case c.StockReceived(warehouse_id=warehouse, lines=lines):
                self._add(self.on_hand, (c.Allocation(warehouse, line.product_id, line.quantity) for line in lines), 1)
            case c.StockCorrected():
                self._add(self.on_hand, [c.Allocation(event.warehouse_id, event.product_id, event.quantity)], 1)
            case c.ItemsReserved(again=False):
                self.live[event.order_id] = event.allocations
                self.moved.add(event.order_id)
                self._add(self.reserved, event.allocations, 1)
            case c.ItemsReleased() | c.ReservationExpired():
                self.moved.add(event.order_id)
                self._add(self.reserved, self.live.pop(event.order_id, ()), -1)
            case c.ItemsShipped():
                self.moved.add(event.order_id)
                self._add(self.reserved, self.live.pop(event.order_id, ()), -1)
                self._add(self.on_hand, event.allocations, -1)
            case c.ItemsRestocked():
                self._add(self.on_hand, event.allocations, 1)

    def _add(self, book: dict[Key, int], parts: Iterable[c.Allocation], sign: int) -> None:
        for part in parts:
            key = (part.product_id, part.warehouse_id)
            book[key] = book.get(key, 0) + sign * part.quantity
            self.touched.add(part.product_id)
            self._warehouses.setdefault(part.product_id, set()).add(part.warehouse_id)

    def products(self) -> list[str]:
        """Whatever ever lay anywhere."""
        return list(self._warehouses)

    def shelves_of(self, product_id: str) -> list[Key]:
        """Where anything of a product ever lay."""
        return [(product_id, warehouse) for warehouse in self._warehouses.get(product_id, ())]

    def shelf(self, key: Key) -> tuple[int, int]:
        """(on_hand, reserved)."""
        return self.on_hand.get(key, 0), self.reserved.get(key, 0)
