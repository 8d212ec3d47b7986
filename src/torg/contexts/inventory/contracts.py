"""Stock as others see it: how much is available, and reservations for orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.values import Limit, ProductId, Text

MOST = 1_000_000  # units that one line may move


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
    """The order's lines are put aside. `source` names the city of the (first) warehouse. `again`: an answer given before, repeated; nothing more
    was held."""

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
    """The order holds nothing any more."""

    order_id: str


@message("inventory.reservation_expired")
class ReservationExpired(Event, frozen=True):
    """The order's hold ran out before it was paid: its units are free again. `gone`: it was confirmed all the same, and the units cannot be had again."""

    order_id: str
    gone: bool = False


@message("inventory.restock_items")
class RestockItems(Command[None], frozen=True, kw_only=True):
    """Returned goods are back on the shelf. Answered by ItemsRestocked; repeated asking for the same return counts once."""

    order_id: str
    return_id: str
    lines: tuple[Units, ...]


@message("inventory.items_restocked")
class ItemsRestocked(Event, frozen=True):
    """Returned goods are back on the shelf; `allocations` say what went where, and are empty when this repeats an answer."""

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
    """As `inventory.stock_changed`, for many products at once: after a big receipt."""

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


# ---------------------------------------------------------------- asked by staff


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
    """Units for sale of a product; what lies where is for staff alone. `by_warehouse` names every warehouse, also those that have none."""

    product_id: str
    available: int
    on_hand: int | None = None
    reserved: int | None = None
    by_warehouse: tuple[ShelfView, ...] | None = None


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


# ---------------------------------------------------------------- suppliers and purchase orders


class Supplier(msgspec.Struct, frozen=True, kw_only=True):
    """`lead_days`: how long they usually take to deliver."""

    id: str
    name: str
    email: str
    lead_days: int
    created_at: datetime


@message("inventory.add_supplier")
class AddSupplier(Command[Supplier], frozen=True, kw_only=True):
    """`lead_days`: how long they usually take to deliver."""

    name: Text
    email: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^([^@\s]+@[^@\s]+)?$")] = ""
    lead_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 7


@message("inventory.supplier_added")
class SupplierAdded(Event, frozen=True):
    """There is somebody new to order from."""

    supplier: Supplier


class SupplierPage(msgspec.Struct, frozen=True):
    items: tuple[Supplier, ...]
    next_cursor: str | None


@message("inventory.list_suppliers")
class ListSuppliers(Query[SupplierPage], frozen=True, kw_only=True):
    """Newest first."""

    cursor: str = ""
    limit: Limit = 24


PurchaseStatus = Literal["draft", "ordered", "partly_received", "received", "cancelled"]
Many = Annotated[int, msgspec.Meta(ge=1, le=MOST)]


class PurchaseLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units wanted of a supplier."""

    product_id: ProductId
    quantity: Many


PurchaseLines = Annotated[tuple[PurchaseLine, ...], msgspec.Meta(min_length=1, max_length=1000)]


class PurchaseLineView(msgspec.Struct, frozen=True, kw_only=True):
    product_id: str
    quantity: int
    received: int


class PurchaseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Goods on their way from a supplier into a warehouse: a draft until it is ordered, then received at once or in parts."""

    id: str
    supplier_id: str
    warehouse_id: str
    status: PurchaseStatus
    lines: tuple[PurchaseLineView, ...]
    note: str
    expected_at: datetime | None
    created_at: datetime
    updated_at: datetime


@message("inventory.draft_purchase_order")
class DraftPurchaseOrder(Command[PurchaseOrder], frozen=True, kw_only=True):
    """Raises NotFound `supplier.not_found`, `warehouse.not_found`; Invalid for products that the catalogue does not know."""

    supplier_id: str
    warehouse_id: str
    lines: PurchaseLines
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


@message("inventory.place_purchase_order")
class PlacePurchaseOrder(Command[PurchaseOrder], frozen=True):
    """Sends a draft to the supplier. Raises NotFound `purchase_order.not_found`, DomainError `purchase_order.not_draft`."""

    purchase_order_id: str


@message("inventory.cancel_purchase_order")
class CancelPurchaseOrder(Command[PurchaseOrder], frozen=True):
    """Gives up what has not come (yet). Raises DomainError `purchase_order.closed`."""

    purchase_order_id: str


@message("inventory.receive_purchase")
class ReceivePurchase(Command[PurchaseOrder], frozen=True, kw_only=True):
    """Goods have come: they are for sale at once. Raises DomainError `purchase_order.not_ordered`, Invalid for what was not ordered or came before."""

    purchase_order_id: str
    lines: PurchaseLines


@message("inventory.get_purchase_order")
class GetPurchaseOrder(Query[PurchaseOrder], frozen=True):
    """Raises NotFound `purchase_order.not_found`."""

    purchase_order_id: str


class PurchaseOrderPage(msgspec.Struct, frozen=True):
    items: tuple[PurchaseOrder, ...]
    next_cursor: str | None


@message("inventory.list_purchase_orders")
class ListPurchaseOrders(Query[PurchaseOrderPage], frozen=True, kw_only=True):
    """Newest first."""

    status: PurchaseStatus | None = None
    supplier_id: str = ""
    cursor: str = ""
    limit: Limit = 24


@message("inventory.purchase_order_changed")
class PurchaseOrderChanged(Event, frozen=True):
    """A purchase order was drafted, ordered, received (partly) or cancelled, and stands like this now."""

    purchase_order: PurchaseOrder
