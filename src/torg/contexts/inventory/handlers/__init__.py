"""What stock does. The tables are the index."""

from __future__ import annotations

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers import orders, stock
from torg.contexts.order.contracts import OrderConfirmed
from torg.contexts.shipping.contracts import DeliveryShipped
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.GetAvailability: stock.get_availability,
    c.CreateWarehouse: stock.create_warehouse,
    c.ReceiveStock: stock.receive_stock,
}

REACTIONS: Handlers = {
    c.ReserveItems: orders.reserve_items,
    c.ReleaseItems: orders.release_items,
    c.RestockItems: orders.restock_items,
    OrderConfirmed: orders.on_order_confirmed,
    DeliveryShipped: orders.on_delivery_shipped,
}
