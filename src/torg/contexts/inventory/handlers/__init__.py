"""What stock does. The tables are the index."""

from __future__ import annotations

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers import orders, purchasing, stock
from torg.contexts.inventory.handlers.mending import rebuild_stock
from torg.contexts.order.contracts import OrderConfirmed
from torg.contexts.shipping.contracts import DeliveryShipped
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.GetAvailability: stock.get_availability,
    c.CreateWarehouse: stock.create_warehouse,
    c.ListWarehouses: stock.list_warehouses,
    c.ReceiveStock: stock.receive_stock,
    c.GetStock: stock.get_stock,
    c.MoveStock: stock.move_stock,
    c.ListMovements: stock.list_movements,
    c.SetStockAlert: stock.set_stock_alert,
    c.ListLowStock: stock.list_low_stock,
    c.RebuildStock: rebuild_stock,
    c.AddSupplier: purchasing.add_supplier,
    c.ListSuppliers: purchasing.list_suppliers,
    c.DraftPurchaseOrder: purchasing.draft_purchase_order,
    c.PlacePurchaseOrder: purchasing.place_purchase_order,
    c.CancelPurchaseOrder: purchasing.cancel_purchase_order,
    c.ReceivePurchase: purchasing.receive_purchase,
    c.GetPurchaseOrder: purchasing.get_purchase_order,
    c.ListPurchaseOrders: purchasing.list_purchase_orders,
}

REACTIONS: Handlers = {
    c.ReserveItems: orders.reserve_items,
    c.ReleaseItems: orders.release_items,
    c.RestockItems: orders.restock_items,
    OrderConfirmed: orders.on_order_confirmed,
    DeliveryShipped: orders.on_delivery_shipped,
}
