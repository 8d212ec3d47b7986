"""The inventory context, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.inventory.adapters.book_sql import SqlBook
from torg.contexts.inventory.adapters.purchasing_sql import SqlPurchasing
from torg.contexts.inventory.adapters.store_sql import SqlReservations, SqlShelves, SqlWarehouses
from torg.contexts.inventory.handlers import HANDLERS, REACTIONS
from torg.contexts.inventory.handlers.auditing import Auditor
from torg.contexts.inventory.handlers.orders import expire_reservations
from torg.contexts.inventory.ports import InventoryDeps
from torg.contexts.inventory.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    database = kit.store.database
    deps = InventoryDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access,
        shelves=SqlShelves(database, kit.clock), warehouses=SqlWarehouses(database, kit.clock),
        reservations=SqlReservations(database, kit.clock), purchasing=SqlPurchasing(database), book=SqlBook(database),
    )  # fmt: skip
    return Module(
        name="inventory",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("inventory", bound(REACTIONS, deps)),),
        jobs=(Job("inventory.expiry", 5, partial(expire_reservations, deps)),),
        invariants=Auditor(deps).invariants(),
    )
