"""Stock itself: what there is, what comes in, what is counted by hand."""

from __future__ import annotations

from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.telling import A_LOT, changes, low, tell
from torg.contexts.inventory.model.places import Place, find_place
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.auth import Identity
from torg.kit.errors import FieldError, Invalid, NotFound
from torg.kit.policy import Thing
from torg.kit.portions import portions
from torg.kit.store import Transaction


async def get_availability(query: c.GetAvailability, deps: InventoryDeps) -> tuple[c.Units, ...]:
    there = await deps.shelves.available(query.product_ids)
    return tuple(c.Units(product, there.get(product, 0)) for product in query.product_ids)


async def create_warehouse(cmd: c.CreateWarehouse, deps: InventoryDeps) -> c.Warehouse:
    place = find_place(cmd.city) if cmd.lat is None or cmd.lon is None else Place(cmd.lat, cmd.lon)
    if place is None:
        raise Invalid.fields(FieldError("city", "warehouse.unknown_city", f"it is not known where {cmd.city} lies: send lat and lon as well"))
    warehouse = c.Warehouse(id=deps.new_id(), name=cmd.name, city=cmd.city, lat=place.lat, lon=place.lon)
    async with deps.transaction() as tx:
        await deps.warehouses.add(tx, warehouse)
        await tx.append(warehouse.id, [c.WarehouseOpened(warehouse)])
        return await tx.answer(warehouse)


async def list_warehouses(query: c.ListWarehouses, deps: InventoryDeps) -> c.WarehousePage:
    found, cursor = await deps.warehouses.page(query.cursor, query.limit)
    return c.WarehousePage(tuple(found), cursor)


async def get_stock(query: c.GetStock, deps: InventoryDeps) -> c.StockView:
    if deps.access.allows(query.viewer, "stock:read"):
        return await deps.shelves.view(query.product_id)
    there = await deps.shelves.available((query.product_id,))
    return c.StockView(product_id=query.product_id, available=there.get(query.product_id, 0))


async def move_stock(cmd: c.MoveStock, deps: InventoryDeps) -> c.Movement:
    require_keeper(cmd.keeper, "stock:write", cmd.warehouse_id, deps)
    await _require_product(cmd.product_id, deps)
    async with deps.transaction() as tx:
        await require_warehouse(tx, cmd.warehouse_id, deps)
        offer = await deps.shelves.correct(tx, c.Allocation(cmd.warehouse_id, cmd.product_id, cmd.quantity), cmd.reason)
        if offer is None:
            raise Invalid("stock.below_reserved", f"{-cmd.quantity} units cannot go: fewer would be left in that warehouse than are reserved")
        corrected = c.StockCorrected(warehouse_id=cmd.warehouse_id, product_id=cmd.product_id, quantity=cmd.quantity, reason=cmd.reason)
        await tx.append(cmd.product_id, [corrected, *changes(offer)])
        movement = c.Movement(
            product_id=cmd.product_id, warehouse_id=cmd.warehouse_id, quantity=cmd.quantity, kind="corrected", reason=cmd.reason, at=deps.clock()
        )
        return await tx.answer(movement)


def require_keeper(keeper: Identity | None, right: str, warehouse_id: str, deps: InventoryDeps) -> None:
    """Raises Forbidden where the keeper does not work in this warehouse; the shop itself (None) does everywhere."""
    if keeper is not None:
        deps.access.require(keeper, right, Thing(warehouse=warehouse_id), deps.clock())


async def list_movements(query: c.ListMovements, deps: InventoryDeps) -> c.MovementPage:
    found, cursor = await deps.shelves.movements(query.product_id, query.cursor, query.limit)
    return c.MovementPage(tuple(found), cursor)


async def set_stock_alert(cmd: c.SetStockAlert, deps: InventoryDeps) -> c.LowStockLine:
    await _require_product(cmd.product_id, deps)
    async with deps.transaction() as tx:
        offer = await deps.shelves.alert_below(tx, cmd.product_id, cmd.alert_below)
        if offer.available < offer.alert_below:
            await tx.append(cmd.product_id, [low(offer)])
        return await tx.answer(c.LowStockLine(cmd.product_id, offer.available, cmd.alert_below))


async def list_low_stock(query: c.ListLowStock, deps: InventoryDeps) -> c.LowStockPage:
    found, cursor = await deps.shelves.low(query.cursor, query.limit)
    return c.LowStockPage(tuple(found), cursor)


async def receive_stock(cmd: c.ReceiveStock, deps: InventoryDeps) -> None:
    if any(line.quantity <= 0 for line in cmd.lines):
        raise Invalid.fields(FieldError("lines", "quantity.not_positive", "what is received are more units, so each quantity must be above 0"))
    async with deps.transaction() as tx:
        if cmd.receipt_id and not await deps.shelves.first_time(tx, cmd.receipt_id):
            return
        await receive(tx, cmd.warehouse_id, cmd.lines, cmd.reason, deps)


async def receive(tx: Transaction, warehouse_id: str, lines: tuple[c.Units, ...], reason: str, deps: InventoryDeps) -> None:
    """Raises NotFound `warehouse.not_found`."""
    await require_warehouse(tx, warehouse_id, deps)
    offers = await deps.shelves.put(tx, [c.Allocation(warehouse_id, line.product_id, line.quantity) for line in lines], "received", reason)
    received = [c.StockReceived(warehouse_id=warehouse_id, lines=portion, reason=reason) for portion in portions(lines, A_LOT)]
    await tx.append(warehouse_id, received)
    await tell(tx, offers, warehouse_id)


async def require_warehouse(tx: Transaction, warehouse_id: str, deps: InventoryDeps) -> None:
    """Raises NotFound `warehouse.not_found`."""
    if await deps.warehouses.find(tx, warehouse_id) is None:
        raise NotFound("warehouse.not_found", f"there is no warehouse {warehouse_id}: GET /warehouses lists them")


async def _require_product(product_id: str, deps: InventoryDeps) -> None:
    """What stock does not know yet, the catalogue must. Raises NotFound `product.not_found`."""
    if product_id not in await deps.shelves.available((product_id,)) and not await deps.call(GetOffers((product_id,))):
        raise NotFound("product.not_found", f"there is no product {product_id}")
