"""A dispatch room for tests: handlers on a real file, and what they have logged."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from torg.contexts.inventory.contracts import Units
from torg.contexts.order import contracts as order
from torg.contexts.shipping import contracts as c
from torg.contexts.shipping.adapters.store_sql import SqlDeliveries
from torg.contexts.shipping.handlers import HANDLERS, REACTIONS, carry_on
from torg.contexts.shipping.ports import ShippingDeps
from torg.contexts.user.contracts import Address
from torg.kit.auth import Identity, Role
from torg.kit.messages import Message, Registry
from torg.kit.testing import START, TestClock, answering, open_store, test_ids
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parent.parent / "migrations"
HANDLING = {**HANDLERS, **REACTIONS}
HOME = Address(city="Kazan", street="Baumana 1", postcode="420111")
BUYER = Identity("u1", frozenset({Role.CUSTOMER}))
STRANGER = Identity("u2", frozenset({Role.CUSTOMER}))
COURIER = Identity("c1", frozenset({Role.COURIER}))


@dataclass
class House:
    """`orders`: the status of each order, as the order context would tell it."""

    deps: ShippingDeps
    clock: TestClock
    orders: dict[str, order.Status] = field(default_factory=dict)

    async def do(self, message: Message) -> Any:
        return await HANDLING[type(message)](message, self.deps)

    async def told(self, message: Message, stream: str = "o1") -> list[Message]:
        """What a message adds to an order's stream."""
        before = len(await self.deps.store.log.stream(stream))
        await self.do(message)
        return [row.message for row in await self.deps.store.log.stream(stream, before)]

    async def all(self, viewer: Identity = COURIER, **query: Any) -> tuple[c.DeliveryView, ...]:
        page: c.DeliveryPage = await self.do(c.ListDeliveries(viewer=viewer, **query))
        return page.items

    async def delivery(self, order_id: str = "o1") -> c.DeliveryView:
        return next(found for found in await self.all() if found.order_id == order_id and found.kind == "delivery")

    async def move(self, *steps: Any, order_id: str = "o1") -> None:
        for step in steps:
            await self.do(c.MoveDelivery(delivery_id=(await self.delivery(order_id)).id, status=step))

    async def confirm(self, order_id: str = "o1") -> None:
        self.orders[order_id] = "confirmed"
        await self.do(order.OrderConfirmed(order_id=order_id, user_id="u1", lines=(), city="Kazan", total=Money(1, "RUB"), placed_at=START))

    async def delivered(self, order_id: str = "o1") -> None:
        """An order whose parcel has arrived."""
        await self.do(booking(order_id))
        await self.confirm(order_id)
        await self.move("shipped", "in_transit", "delivered", order_id=order_id)

    async def carry_on(self) -> None:
        await carry_on(self.deps)


def booking(order_id: str = "o1", method: c.DeliveryMethod = "courier", grams: int = 900, point: str = "", user_id: str = "u1") -> c.ScheduleShipping:
    return c.ScheduleShipping(
        order_id=order_id, user_id=user_id, source="Moscow", destination=HOME, method=method, lines=(Units("apple", 1),), weight_grams=grams,
        pickup_point_id=point,
    )  # fmt: skip


def view(order_id: str, status: order.Status) -> order.OrderView:
    nothing = Money(0, "RUB")
    return order.OrderView(
        id=order_id, created_date=START, status=status, bucket_id="b", user_id="u1", lines=(), delivery=order.DeliveryPlan(method="post", address=HOME),
        payment=order.PaymentState(method="card", status="pending"), items_total=nothing, delivery_price=nothing, discount=nothing, total=nothing,
        cancellable=True, updated_at=START,
    )  # fmt: skip


@asynccontextmanager
async def open_house(folder: Path, stage: timedelta | None = None) -> AsyncIterator[House]:
    clock, orders = TestClock(), dict[str, order.Status]()
    calls = answering({order.GetOrder: lambda query: view(query.order_id, orders.get(query.order_id, "pending"))})
    async with open_store(folder, "shipping", clock, Registry([c, order]), MIGRATIONS) as store:
        deps = ShippingDeps(
            call=calls, clock=clock, new_id=test_ids(), store=store, currency="RUB", deliveries=SqlDeliveries(store.database, clock), stage=stage
        )
        yield House(deps, clock, orders)
