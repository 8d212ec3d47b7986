"""Warehouses and what stands in them: what staff and operators ask, and what is told of every change."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.contexts.inventory.contracts.reserving import MOST, Units
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Limit, ProductId, Text


@message("inventory.stock_changed")
class StockChanged(Event, frozen=True):
    """A product's units for sale, over all warehouses, as of now."""

    product_id: str
    available: int


@message("inventory.stock_changed_many")
class StocksChanged(Event, frozen=True):
    """As `inventory.stock_changed`, for many products at once: after a big receipt."""

    items: tuple[Units, ...]


@message("inventory.low_stock")
class LowStock(Event, frozen=True, kw_only=True):
    """Fewer units are for sale than its keepers want there to be; told once each time it falls below."""

    product_id: str
    available: int
    alert_below: int


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


class Warehouse(msgspec.Struct, frozen=True, kw_only=True):
    """`lat` and `lon` are degrees north and east."""

    id: str
    name: str
    city: str
    lat: float
    lon: float


@message("inventory.warehouse_opened")
class WarehouseOpened(Event, frozen=True):
    """There is a new warehouse, with nothing in it."""

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


class WarehousePage(msgspec.Struct, frozen=True):
    items: tuple[Warehouse, ...]
    next_cursor: str | None


@message("inventory.list_warehouses")
class ListWarehouses(Query[WarehousePage], frozen=True, kw_only=True):
    """Oldest first."""

    cursor: str = ""
    limit: Limit = 100


class ShelfView(msgspec.Struct, frozen=True, kw_only=True):
    warehouse_id: str
    on_hand: int
    reserved: int
    available: int


class StockView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Units for sale of a product; what lies where is for staff alone. `by_warehouse` names every warehouse, also those that have none;
    with fewer than `alert_below` for sale the staff are told."""

    product_id: str
    available: int
    on_hand: int | None = None
    reserved: int | None = None
    by_warehouse: tuple[ShelfView, ...] | None = None
    alert_below: int | None = None


@message("inventory.get_stock")
class GetStock(Query[StockView], frozen=True):
    """How much of a product can be sold; staff also see what lies where. 0 of a product that stock does not know (yet)."""

    product_id: str
    viewer: Identity | None = None


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A change of what lies on a shelf."""

    product_id: str
    warehouse_id: str
    quantity: int
    kind: Literal["received", "shipped", "returned", "corrected"]
    reason: str
    at: datetime


def _a_difference(quantity: int, _: datetime) -> str | None:
    return None if 0 < abs(quantity) <= MOST else f"say how many units more or less there are, up to {MOST:,}; not 0"


DIFFERENCE: dict[str, Rule] = {"quantity": _a_difference}


@message("inventory.move_stock")
class MoveStock(Command[Movement], frozen=True, kw_only=True):
    """A keeper corrects what lies in a warehouse, up or down. Raises NotFound `warehouse.not_found`, `product.not_found`; Invalid
    `stock.below_reserved` where less would be left than is reserved."""

    RULES = DIFFERENCE

    product_id: ProductId
    warehouse_id: str
    quantity: int
    reason: Text
    keeper: Identity | None = None


class MovementPage(msgspec.Struct, frozen=True):
    items: tuple[Movement, ...]
    next_cursor: str | None


@message("inventory.list_movements")
class ListMovements(Query[MovementPage], frozen=True, kw_only=True):
    """A product's movements, newest first."""

    product_id: str
    cursor: str = ""
    limit: Limit = 24


class LowStockLine(msgspec.Struct, frozen=True):
    product_id: str
    available: int
    alert_below: int


class LowStockPage(msgspec.Struct, frozen=True):
    items: tuple[LowStockLine, ...]
    next_cursor: str | None


@message("inventory.list_low_stock")
class ListLowStock(Query[LowStockPage], frozen=True, kw_only=True):
    """Products of which fewer units are for sale than there should be, by id."""

    cursor: str = ""
    limit: Limit = 24


@message("inventory.set_stock_alert")
class SetStockAlert(Command[LowStockLine], frozen=True, kw_only=True):
    """Has `inventory.low_stock` told whenever fewer than so many units are for sale; 0 ends it. Raises NotFound `product.not_found`."""

    product_id: ProductId
    alert_below: Annotated[int, msgspec.Meta(ge=0, le=MOST)]


@message("inventory.rebuild_stock")
class RebuildStock(Rebuild, frozen=True, kw_only=True):
    """Makes shelves, reservations and what is for sale what the log of stock says, while people order."""


@message("inventory.stock_mended")
class StockMended(Mended, frozen=True, kw_only=True):
    """A shelf, an offer or a reservation was not what the log said, and is now. No units have moved."""
