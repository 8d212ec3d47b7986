"""A stock room for tests: handlers on a real file, and what they have logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from torg.contexts.catalog import contracts as catalog
from torg.contexts.inventory import contracts as c
from torg.contexts.inventory.adapters.book_sql import SqlBook
from torg.contexts.inventory.adapters.purchasing_sql import SqlPurchasing
from torg.contexts.inventory.adapters.store_sql import SqlReservations, SqlShelves, SqlWarehouses
from torg.contexts.inventory.handlers import HANDLERS, REACTIONS
from torg.contexts.inventory.handlers.orders import expire_reservations
from torg.contexts.inventory.ports import InventoryDeps
from torg.contexts.order import contracts as order
from torg.contexts.shipping import contracts as shipping
from torg.kit.messages import Message, Registry
from torg.kit.module import bound
from torg.kit.store import Store
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parent.parent / "migrations"
HANDLING = {**HANDLERS, **REACTIONS}


@dataclass
class House:
    """`moscow`, `kazan` and `vladivostok` are warehouses' ids."""

    deps: InventoryDeps
    clock: TestClock
    moscow: str = ""
    kazan: str = ""
    vladivostok: str = ""

    @property
    def store(self) -> Store:
        return self.deps.store

    async def do(self, message: Message) -> Any:
        return await bound(HANDLING, self.deps)[type(message)](message)

    async def told(self, message: Message, stream: str = "o1") -> list[Message]:
        """What a message adds to an order's stream."""
        before = len(await self.store.log.stream(stream))
        await self.do(message)
        return [row.message for row in await self.store.log.stream(stream, before)]

    async def receive(self, warehouse: str, **lines: int) -> None:
        await self.do(c.ReceiveStock(warehouse_id=warehouse, lines=tuple(c.Units(p, q) for p, q in lines.items()), reason="test"))

    async def stock(self, product: str) -> dict[str, tuple[int, int]]:
        """(on_hand, reserved) by warehouse."""
        rows = await self.store.database.all("select warehouse_id, on_hand, reserved from stock where product_id = :product", product=product)
        return {row["warehouse_id"]: (row["on_hand"], row["reserved"]) for row in rows}

    async def available(self, product: str) -> int:
        (units,) = await self.do(c.GetAvailability((product,)))
        return int(units.quantity)

    async def logged(self, kind: type[Message]) -> list[Any]:
        rows = await self.store.log.tail(0, 100_000)
        return [row.message for row in rows if isinstance(row.message, kind)]

    def ask(self, order_id: str = "o1", city: str = "Moscow", minutes: float = 20, **lines: int) -> c.ReserveItems:
        wanted = tuple(c.Units(product, quantity) for product, quantity in lines.items())
        return c.ReserveItems(order_id=order_id, lines=wanted, city=city, hold_until=self.clock() + timedelta(minutes=minutes))

    def confirm(self, order_id: str = "o1", city: str = "Moscow") -> order.OrderConfirmed:
        return order.OrderConfirmed(order_id=order_id, user_id="u", lines=(), city=city, total=Money(1, "RUB"), placed_at=self.clock())

    def shipped(self, order_id: str = "o1") -> shipping.DeliveryShipped:
        return shipping.DeliveryShipped(order_id=order_id, delivery_id="d", tracking_number="t")

    async def expire(self) -> None:
        await expire_reservations(self.deps)


@asynccontextmanager
async def open_house(folder: Path, offers: Sequence[str] = ()) -> AsyncIterator[House]:
    """Three warehouses, empty. `offers`: products that the catalogue knows."""
    clock = TestClock()

    def known(query: catalog.GetOffers) -> tuple[catalog.Offer, ...]:
        return tuple(
            catalog.Offer(
                product_id=product, name=product, name_ru=product, price=Money(1, "RUB"), category_path=(), brand="", weight_grams=1, on_sale=True
            )
            for product in query.product_ids
            if product in offers
        )  # fmt: skip

    async with open_store(folder, "inventory", clock, Registry([c, order, shipping]), MIGRATIONS) as store:
        deps = InventoryDeps(
            call=answering({catalog.GetOffers: known}), clock=clock, new_id=test_ids(), store=store, currency="RUB",
            shelves=SqlShelves(store.database, clock), warehouses=SqlWarehouses(store.database, clock),
            reservations=SqlReservations(store.database, clock), purchasing=SqlPurchasing(store.database), book=SqlBook(store.database),
        )  # fmt: skip
        house = House(deps, clock)
        for city in ("Moscow", "Kazan", "Vladivostok"):
            opened = await house.do(c.CreateWarehouse(name=f"{city} 1", city=city))
            setattr(house, city.lower(), opened.id)
        yield house
