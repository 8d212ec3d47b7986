"""The way of a purchase order: draft, ordered, received in one or many parts."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from torg.contexts.inventory.contracts import DraftPurchaseOrder, PurchaseLine, PurchaseLineView, PurchaseOrder, Units
from torg.contexts.inventory.model.allocation import merged
from torg.kit.errors import DomainError, FieldError, Invalid

OPEN = ("draft", "ordered", "partly_received")


def draft(id: str, cmd: DraftPurchaseOrder, now: datetime) -> PurchaseOrder:
    lines = tuple(PurchaseLineView(product_id=line.product_id, quantity=line.quantity, received=0) for line in units(cmd.lines))
    return PurchaseOrder(
        id=id, supplier_id=cmd.supplier_id, warehouse_id=cmd.warehouse_id, status="draft", lines=lines, note=cmd.note, expected_at=None,
        created_at=now, updated_at=now,
    )  # fmt: skip


def place(order: PurchaseOrder, lead_days: int, now: datetime) -> PurchaseOrder:
    """Raises DomainError `purchase_order.not_draft`."""
    if order.status != "draft":
        raise DomainError("purchase_order.not_draft", f"this purchase order is {_words(order)}: only a draft can be ordered")
    return replace(order, status="ordered", expected_at=now + timedelta(days=lead_days), updated_at=now)


def cancel(order: PurchaseOrder, now: datetime) -> PurchaseOrder:
    """Raises DomainError `purchase_order.closed`."""
    if order.status not in OPEN:
        raise DomainError("purchase_order.closed", f"this purchase order is {_words(order)}: there is nothing left to cancel")
    return replace(order, status="cancelled", updated_at=now)


def receive(order: PurchaseOrder, came: Iterable[PurchaseLine], now: datetime) -> PurchaseOrder:
    """Raises DomainError `purchase_order.not_ordered`, Invalid for more than is still to come."""
    if order.status not in ("ordered", "partly_received"):
        raise DomainError("purchase_order.not_ordered", f"this purchase order is {_words(order)}: nothing is expected for it")
    parts = {line.product_id: line.quantity for line in units(came)}
    awaited = {line.product_id: line.quantity - line.received for line in order.lines}
    faults = [
        FieldError("lines", "receipt.too_many", f"{awaited.get(product, 0)} of product {product} are still to come, not {quantity}")
        for product, quantity in parts.items()
        if quantity > awaited.get(product, 0)
    ]
    if faults:
        raise Invalid.fields(*faults)
    lines = tuple(replace(line, received=line.received + parts.get(line.product_id, 0)) for line in order.lines)
    whole = all(line.received == line.quantity for line in lines)
    return replace(order, lines=lines, status="received" if whole else "partly_received", updated_at=now)


def units(lines: Iterable[PurchaseLine]) -> tuple[Units, ...]:
    """One line per product, in the order of their ids."""
    return merged(Units(line.product_id, line.quantity) for line in lines)


def _words(order: PurchaseOrder) -> str:
    return order.status.replace("_", " ")
