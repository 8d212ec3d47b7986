"""Suppliers, and what is ordered from them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.contexts.inventory.contracts.reserving import MOST
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Limit, ProductId, Text


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
    keeper: Identity | None = None


@message("inventory.place_purchase_order")
class PlacePurchaseOrder(Command[PurchaseOrder], frozen=True):
    """Sends a draft to the supplier. Raises NotFound `purchase_order.not_found`, DomainError `purchase_order.not_draft`."""

    purchase_order_id: str
    keeper: Identity | None = None


@message("inventory.cancel_purchase_order")
class CancelPurchaseOrder(Command[PurchaseOrder], frozen=True):
    """Gives up what has not come (yet). Raises DomainError `purchase_order.closed`."""

    purchase_order_id: str
    keeper: Identity | None = None


@message("inventory.receive_purchase")
class ReceivePurchase(Command[PurchaseOrder], frozen=True, kw_only=True):
    """Goods have come: they are for sale at once. Raises DomainError `purchase_order.not_ordered`, Invalid for what was not ordered or came before."""

    purchase_order_id: str
    lines: PurchaseLines
    keeper: Identity | None = None


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
