"""Stock as others see it: how much is available, and reservations for orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Text


class Units(msgspec.Struct, frozen=True):
    """So many units of a product."""

    product_id: str
    quantity: int


class Allocation(msgspec.Struct, frozen=True):
    """Units of a product that one warehouse holds for an order."""

    warehouse_id: str
    product_id: str
    quantity: int


@message("inventory.get_availability")
class GetAvailability(Query[tuple[Units, ...]], frozen=True):
    """Units that can be sold now, for each of these products in this order; 0 for unknown ones."""

    product_ids: tuple[str, ...]


@message("inventory.reserve_items")
class ReserveItems(Command[None], frozen=True, kw_only=True):
    """Holds the lines for an order until `hold_until`, from the nearest warehouse that has all, else split. Answered by ItemsReserved or
    ReservationFailed; asking again gives the first answer again."""

    order_id: str
    lines: tuple[Units, ...]
    city: str
    hold_until: datetime


@message("inventory.items_reserved")
class ItemsReserved(Event, frozen=True, kw_only=True):
    """`source` names the city of the (first) warehouse. `again`: an answer given before, repeated; nothing more was held."""

    order_id: str
    allocations: tuple[Allocation, ...]
    source: str
    again: bool = False


@message("inventory.reservation_failed")
class ReservationFailed(Event, frozen=True, kw_only=True):
    """Nothing was held. `short` lists the products of which there is too little."""

    order_id: str
    reason: str
    short: tuple[str, ...] = ()


@message("inventory.release_items")
class ReleaseItems(Command[None], frozen=True):
    """Lets go of what an order holds; answered by ItemsReleased also when it holds nothing (any more), and a reservation asked for later is refused."""

    order_id: str


@message("inventory.items_released")
class ItemsReleased(Event, frozen=True):
    order_id: str


@message("inventory.reservation_expired")
class ReservationExpired(Event, frozen=True):
    """The order's hold ran out before it was paid: its units are free again."""

    order_id: str


@message("inventory.restock_items")
class RestockItems(Command[None], frozen=True, kw_only=True):
    """Returned goods are back on the shelf. Answered by ItemsRestocked; repeated asking for the same return counts once."""

    order_id: str
    return_id: str
    lines: tuple[Units, ...]


@message("inventory.items_restocked")
class ItemsRestocked(Event, frozen=True):
    """`allocations` say what went where; empty when this repeats an answer."""

    order_id: str
    return_id: str
    allocations: tuple[Allocation, ...] = ()


@message("inventory.stock_changed")
class StockChanged(Event, frozen=True):
    """A product's units for sale, over all warehouses, as of now."""

    product_id: str
    available: int


@message("inventory.stock_changed_many")
class StocksChanged(Event, frozen=True):
    """As StockChanged, for many products at once: after a big receipt."""

    items: tuple[Units, ...]


@message("inventory.low_stock")
class LowStock(Event, frozen=True, kw_only=True):
    """Fewer units are for sale than its keepers want there to be; told once each time it falls below."""

    product_id: str
    available: int
    alert_below: int


# ---------------------------------------------------------------- what else the log of stock consists of


@message("inventory.reservation_secured")
class ReservationSecured(Event, frozen=True):
    """The order is confirmed: its hold no longer runs out."""

    order_id: str


@message("inventory.items_shipped")
class ItemsShipped(Event, frozen=True, kw_only=True):
    """What was reserved has left the warehouses."""

    order_id: str
    allocations: tuple[Allocation, ...]


@message("inventory.stock_received")
class StockReceived(Event, frozen=True, kw_only=True):
    """New units of one or many products lie in a warehouse."""

    warehouse_id: str
    lines: tuple[Units, ...]
    reason: str


@message("inventory.stock_corrected")
class StockCorrected(Event, frozen=True, kw_only=True):
    """Somebody counted or moved by hand: `quantity` is the difference."""

    warehouse_id: str
    product_id: str
    quantity: int
    reason: str


# ---------------------------------------------------------------- staff ask


class Warehouse(msgspec.Struct, frozen=True, kw_only=True):
    """`lat` and `lon` are degrees north and east."""

    id: str
    name: str
    city: str
    lat: float
    lon: float


@message("inventory.warehouse_opened")
class WarehouseOpened(Event, frozen=True):
    warehouse: Warehouse


@message("inventory.create_warehouse")
class CreateWarehouse(Command[Warehouse], frozen=True, kw_only=True):
    """Where `lat` and `lon` are left out, the city's own are taken. Raises Invalid for a city that is in no table then."""

    name: Text
    city: Text
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None


@message("inventory.receive_stock")
class ReceiveStock(Command[None], frozen=True, kw_only=True):
    """Puts any number of lines on a warehouse's shelves in one transaction. Under the same `receipt_id` (unless empty) it counts once.
    Raises NotFound `warehouse.not_found`."""

    warehouse_id: str
    lines: tuple[Units, ...]
    reason: str
    receipt_id: str = ""
