"""Stock over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.inventory import contracts as c
from torg.kit.http import Route, get, post, put


def routes() -> Sequence[Route]:
    return (*_stock(), *_purchasing())


def _stock() -> Sequence[Route]:
    return (
        get("/warehouses", c.ListWarehouses, right="stock:read", summary="Warehouses, oldest first"),
        post("/warehouses", c.CreateWarehouse, right="stock:write", status=201, idempotency="accepted", summary="Open a warehouse"),
        get("/inventory/low-stock", c.ListLowStock, right="stock:read", summary="Products of which fewer are for sale than there should be"),
        post("/inventory/rebuild", c.RebuildStock, right="tables:write", summary="Make shelves and reservations what the log says, while people order"),
        get("/inventory/{product_id}", c.GetStock, right="catalog:read", summary="Units for sale; for staff also what lies where"),
        get("/inventory/{product_id}/movements", c.ListMovements, right="stock:read", summary="A product's movements, newest first"),
        post(
            "/inventory/{product_id}/movements", c.MoveStock, about=c.GetStock, right="stock:write", status=201, idempotency="accepted",
            summary="Correct what lies in a warehouse",
        ),
        put("/inventory/{product_id}/alert", c.SetStockAlert, about=c.GetStock, right="stock:write", summary="Be told when fewer than so many are for sale"),
    )  # fmt: skip


def _purchasing() -> Sequence[Route]:
    return (
        get("/suppliers", c.ListSuppliers, right="purchases:read", summary="Suppliers, newest first"),
        post("/suppliers", c.AddSupplier, right="purchases:write", status=201, idempotency="accepted", summary="Add a supplier"),
        get("/purchase-orders", c.ListPurchaseOrders, right="purchases:read", summary="Purchase orders, newest first"),
        post(
            "/purchase-orders", c.DraftPurchaseOrder, right="purchases:write", status=201, idempotency="accepted", summary="Draft a purchase order",
            location=lambda order: f"/api/v1/purchase-orders/{order.id}",
        ),
        get("/purchase-orders/{purchase_order_id}", c.GetPurchaseOrder, right="purchases:read", summary="One purchase order"),
        post(
            "/purchase-orders/{purchase_order_id}/order", c.PlacePurchaseOrder, about=c.GetPurchaseOrder, right="purchases:write", idempotency="accepted",
            summary="Send a draft to its supplier",
        ),
        post(
            "/purchase-orders/{purchase_order_id}/cancel", c.CancelPurchaseOrder, about=c.GetPurchaseOrder, right="purchases:write", idempotency="accepted",
            summary="Cancel a purchase order",
        ),
        post(
            "/purchase-orders/{purchase_order_id}/receipts", c.ReceivePurchase, about=c.GetPurchaseOrder, right="purchases:write", status=201,
            idempotency="accepted",
            summary="Receive goods of a purchase order",
        ),
    )  # fmt: skip
