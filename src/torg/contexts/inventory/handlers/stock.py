"""Stock itself: what there is, what comes in, what is counted by hand."""

from __future__ import annotations

from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.handlers.telling import A_LOT, tell
from torg.contexts.inventory.model.places import Place, find_place
from torg.contexts.inventory.ports import InventoryDeps
from torg.kit.errors import FieldError, Invalid, NotFound
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


async def receive_stock(cmd: c.ReceiveStock, deps: InventoryDeps) -> None:
    async with deps.transaction() as tx:
        if cmd.receipt_id and not await deps.shelves.first_time(tx, cmd.receipt_id):
            return
        await receive(tx, cmd.warehouse_id, cmd.lines, cmd.reason, deps)


async def receive(tx: Transaction, warehouse_id: str, lines: tuple[c.Units, ...], reason: str, deps: InventoryDeps) -> None:
    """Raises NotFound `warehouse.not_found`."""
    if await deps.warehouses.find(tx, warehouse_id) is None:
        raise NotFound("warehouse.not_found", f"there is no warehouse {warehouse_id}: GET /warehouses lists them")
    offers = await deps.shelves.put(tx, [c.Allocation(warehouse_id, line.product_id, line.quantity) for line in lines], "received", reason)
    portions = [lines[at : at + A_LOT] for at in range(0, len(lines), A_LOT)]
    await tx.append(warehouse_id, [c.StockReceived(warehouse_id=warehouse_id, lines=portion, reason=reason) for portion in portions])
    await tell(tx, offers, warehouse_id)
