"""Suppliers and purchase orders."""

from __future__ import annotations

from collections.abc import Iterable

from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.stock import receive, require_keeper, require_warehouse
from torg.contexts.inventory.model import purchasing as model
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.errors import FieldError, Invalid
from torg.kit.store import Transaction

RIGHT = "purchases:write"


async def add_supplier(cmd: c.AddSupplier, deps: InventoryDeps) -> c.Supplier:
    supplier = c.Supplier(id=deps.new_id(), name=cmd.name, email=cmd.email, lead_days=cmd.lead_days, created_at=deps.clock())
    async with deps.transaction() as tx:
        await deps.purchasing.add_supplier(tx, supplier)
        await tx.append(supplier.id, [c.SupplierAdded(supplier)])
        return await tx.answer(supplier)


async def list_suppliers(query: c.ListSuppliers, deps: InventoryDeps) -> c.SupplierPage:
    found, cursor = await deps.purchasing.suppliers(query.cursor, query.limit)
    return c.SupplierPage(tuple(found), cursor)


async def draft_purchase_order(cmd: c.DraftPurchaseOrder, deps: InventoryDeps) -> c.PurchaseOrder:
    require_keeper(cmd.keeper, RIGHT, cmd.warehouse_id, deps)
    await _require_products((line.product_id for line in cmd.lines), deps)
    async with deps.transaction() as tx:
        await deps.purchasing.supplier(tx, cmd.supplier_id)
        await require_warehouse(tx, cmd.warehouse_id, deps)
        order = model.draft(deps.new_id(), cmd, deps.clock())
        await deps.purchasing.file(tx, order)
        await tx.append(order.id, [c.PurchaseOrderChanged(order)])
        return await tx.answer(order)


async def place_purchase_order(cmd: c.PlacePurchaseOrder, deps: InventoryDeps) -> c.PurchaseOrder:
    async with deps.transaction() as tx:
        order, version = await deps.purchasing.load(tx, cmd.purchase_order_id)
        require_keeper(cmd.keeper, RIGHT, order.warehouse_id, deps)
        supplier = await deps.purchasing.supplier(tx, order.supplier_id)
        return await _change(tx, model.place(order, supplier.lead_days, deps.clock()), version, deps)


async def cancel_purchase_order(cmd: c.CancelPurchaseOrder, deps: InventoryDeps) -> c.PurchaseOrder:
    async with deps.transaction() as tx:
        order, version = await deps.purchasing.load(tx, cmd.purchase_order_id)
        require_keeper(cmd.keeper, RIGHT, order.warehouse_id, deps)
        return await _change(tx, model.cancel(order, deps.clock()), version, deps)


async def receive_purchase(cmd: c.ReceivePurchase, deps: InventoryDeps) -> c.PurchaseOrder:
    async with deps.transaction() as tx:
        order, version = await deps.purchasing.load(tx, cmd.purchase_order_id)
        require_keeper(cmd.keeper, RIGHT, order.warehouse_id, deps)
        received = model.receive(order, cmd.lines, deps.clock())
        await receive(tx, order.warehouse_id, model.units(cmd.lines), f"purchase order {order.id}", deps)
        return await _change(tx, received, version, deps)


async def get_purchase_order(query: c.GetPurchaseOrder, deps: InventoryDeps) -> c.PurchaseOrder:
    return await deps.purchasing.find(query.purchase_order_id)


async def list_purchase_orders(query: c.ListPurchaseOrders, deps: InventoryDeps) -> c.PurchaseOrderPage:
    found, cursor = await deps.purchasing.page(query.status, query.supplier_id, query.cursor, query.limit)
    return c.PurchaseOrderPage(tuple(found), cursor)


async def _change(tx: Transaction, order: c.PurchaseOrder, version: int, deps: InventoryDeps) -> c.PurchaseOrder:
    await deps.purchasing.change(tx, order, version)
    await tx.append(order.id, [c.PurchaseOrderChanged(order)])
    return await tx.answer(order)


async def _require_products(product_ids: Iterable[str], deps: InventoryDeps) -> None:
    wanted = tuple(dict.fromkeys(product_ids))
    known = {offer.product_id for offer in await deps.call(GetOffers(wanted))}
    faults = [FieldError("lines", "product.not_found", f"the catalogue has no product {product}") for product in wanted if product not in known]
    if faults:
        raise Invalid.fields(*faults)
