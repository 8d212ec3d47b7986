"""Stock over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.inventory import contracts as c
from torg.kit.auth import Role
from torg.kit.http import Route, get, post, put

KEEPERS = frozenset({Role.WAREHOUSE})


def routes() -> Sequence[Route]:
    return (*_stock(), *_purchasing())


def _stock() -> Sequence[Route]:
    return (
        get("/warehouses", c.ListWarehouses, who=KEEPERS, summary="Warehouses, oldest first"),
        post("/warehouses", c.CreateWarehouse, who=KEEPERS, status=201, idempotency="accepted", summary="Open a warehouse"),
        get("/inventory/low-stock", c.ListLowStock, who=KEEPERS, summary="Products of which fewer are for sale than there should be"),
        get("/inventory/{product_id}", c.GetStock, summary="Units for sale; for staff also what lies where"),
        get("/inventory/{product_id}/movements", c.ListMovements, who=KEEPERS, summary="A product's movements, newest first"),
        post(
            "/inventory/{product_id}/movements", c.MoveStock, who=KEEPERS, status=201, idempotency="accepted",
            summary="Correct what lies in a warehouse",
        ),
        put("/inventory/{product_id}/alert", c.SetStockAlert, who=KEEPERS, summary="Be told when fewer than so many are for sale"),
    )  # fmt: skip


def _purchasing() -> Sequence[Route]:
    return (
        get("/suppliers", c.ListSuppliers, who=KEEPERS, summary="Suppliers, newest first"),
        post("/suppliers", c.AddSupplier, who=KEEPERS, status=201, idempotency="accepted", summary="Add a supplier"),
        get("/purchase-orders", c.ListPurchaseOrders, who=KEEPERS, summary="Purchase orders, newest first"),
        post(
            "/purchase-orders", c.DraftPurchaseOrder, who=KEEPERS, status=201, idempotency="accepted", summary="Draft a purchase order",
            location=lambda order: f"/api/v1/purchase-orders/{order.id}",
        ),
        get("/purchase-orders/{purchase_order_id}", c.GetPurchaseOrder, who=KEEPERS, summary="One purchase order"),
        post("/purchase-orders/{purchase_order_id}/order", c.PlacePurchaseOrder, who=KEEPERS, idempotency="accepted", summary="Send a draft to its supplier"),
        post("/purchase-orders/{purchase_order_id}/cancel", c.CancelPurchaseOrder, who=KEEPERS, idempotency="accepted", summary="Cancel a purchase order"),
        post(
            "/purchase-orders/{purchase_order_id}/receipts", c.ReceivePurchase, who=KEEPERS, status=201, idempotency="accepted",
            summary="Receive goods of a purchase order",
        ),
    )  # fmt: skip
