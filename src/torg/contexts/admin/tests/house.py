"""An admin context over the desks of stores that tests write into by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from torg.contexts.admin import contracts as c
from torg.contexts.admin.adapters.books_sql import SqlBooks
from torg.contexts.admin.adapters.door_sql import SqlRules
from torg.contexts.admin.adapters.guide_pages import StaffGuide
from torg.contexts.admin.adapters.trail_sql import SqlTrail
from torg.contexts.admin.handlers import HANDLERS
from torg.contexts.admin.handlers.invariants import invariants
from torg.contexts.admin.ports import AdminDeps
from torg.contexts.analytics import contracts as analytics
from torg.contexts.inventory import contracts as inventory
from torg.contexts.order import contracts as order
from torg.contexts.payment import contracts as payment
from torg.contexts.shipping import contracts as shipping
from torg.contexts.user.contracts import Address
from torg.kit.bus import Failures
from torg.kit.countries import Atlas
from torg.kit.messages import Envelope, Message, Meta, Registry
from torg.kit.operations import Desk
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parents[1] / "migrations"
CONTEXTS = ("order", "payment", "inventory", "shipping", "analytics")
REGISTRY = Registry([c, order, payment, inventory, shipping, analytics])
ADDRESS = Address(city="Moscow", street="Tverskaya 1", postcode="125009")


class House:
    """The context, its neighbours' desks, and what the sales report says (orders, revenue) by day."""

    def __init__(self, deps: AdminDeps, clock: TestClock, desks: dict[str, Desk], report: dict[str, tuple[int, int]]) -> None:
        self.deps, self.clock, self.desks, self.report = deps, clock, desks, report

    async def do(self, message: Message) -> Any:
        return await HANDLERS[type(message)](message, self.deps)

    async def log(self, context: str, *events: Message, stream: str = "stream") -> None:
        async with self.desks[context].store.transaction() as tx:
            await tx.append(stream, events)

    async def tamper(self, context: str, statement: str, **parameters: Any) -> None:
        async with self.desks[context].store.transaction() as tx:
            await tx.execute(statement, **parameters)

    async def bury(self, context: str, consumer: str, id: str) -> None:
        """Files a dead letter."""
        source, stream, version = id.split("/")
        row = Envelope(1, id, source, stream, int(version), placed(stream), Meta(), self.clock())
        store = self.desks[context].store
        async with store.transaction() as tx:
            await Failures(store, REGISTRY).keep(tx, consumer, row, "ValueError: no", 8)

    async def details(self) -> dict[str, tuple[c.Violation, ...]]:
        """As `broken`, with all that is told."""
        await self.broken()
        reports: c.InvariantReports = await self.do(c.GetInvariants())
        return {report.name: report.details for report in reports.items if not report.holds}

    async def broken(self) -> dict[str, tuple[str, ...]]:
        """Violations by invariant, after everything has had its time."""
        self.clock.advance(seconds=2)
        await self.do(c.GetInvariants())
        self.clock.advance(seconds=20)
        reports: c.InvariantReports = await self.do(c.GetInvariants())
        return {report.name: report.violations for report in reports.items if not report.holds}


@asynccontextmanager
async def open_house(folder: Path, atlas: Atlas | None = None) -> AsyncIterator[House]:
    clock, report, desks = TestClock(), dict[str, tuple[int, int]](), dict[str, Desk]()

    def sales(query: analytics.GetSales) -> analytics.SalesReport:
        orders, revenue = report.get(query.since, (0, 0))
        return analytics.SalesReport((analytics.SalesRow(key=query.since, orders=orders, units=0, revenue=usd(revenue)),) if orders else ())

    async with AsyncExitStack() as stack:
        for context in (*CONTEXTS, "admin"):
            migrations = MIGRATIONS if context == "admin" else None
            store = await stack.enter_async_context(open_store(folder, context, clock, REGISTRY, migrations))
            desks[context] = Desk(context, store, Failures(store, REGISTRY))
        own = desks["admin"].store
        deps = AdminDeps(
            call=answering({analytics.GetSales: sales}), clock=clock, new_id=test_ids(), store=own, currency="USD", desks=desks,
            trail=SqlTrail(own, "a secret"), networks=SqlRules(own.database, c.NetworkRule, "network"),
            countries=SqlRules(own.database, c.CountryRule, "country"), atlas=atlas, books=SqlBooks(own.database), guide=StaffGuide(),
        )  # fmt: skip
        desks["admin"].invariants = invariants(deps)
        yield House(deps, clock, desks, report)


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def placed(order_id: str = "o1", total: int = 500, method: payment.Method = "balance", cart: str = "") -> order.OrderPlaced:
    return order.OrderPlaced(
        order_id=order_id, user_id="u1", bucket_id=cart or f"cart of {order_id}", lines=(), delivery=order.DeliveryPlan(method="courier", address=ADDRESS),
        payment_method=method, items_total=usd(total), delivery_price=usd(0), discount=usd(0), total=usd(total),
    )  # fmt: skip


def confirmed(order_id: str = "o1", total: int = 500) -> order.OrderConfirmed:
    return order.OrderConfirmed(order_id=order_id, user_id="u1", lines=(), city="Moscow", total=usd(total), placed_at=TestClock().now)


def posted(kind: payment.EntryKind, amount: int, order_id: str = "o1") -> payment.LedgerPosted:
    legs = (payment.Posting("a", -amount), payment.Posting("b", amount))
    return payment.LedgerPosted(kind=kind, reference=f"payment of {order_id}", currency="USD", postings=legs, order_id=order_id)


def processed(order_id: str = "o1", total: int = 500, method: payment.Method = "balance") -> payment.PaymentProcessed:
    return payment.PaymentProcessed(order_id=order_id, payment_id=f"payment of {order_id}", amount=usd(total), method=method, captured=method != "cash")


def held(order_id: str = "o1") -> inventory.ItemsReserved:
    return inventory.ItemsReserved(order_id=order_id, allocations=(), source="Moscow")


def booked(order_id: str = "o1") -> shipping.ShippingScheduled:
    now = TestClock().now
    return shipping.ShippingScheduled(order_id=order_id, delivery_id="d1", tracking_number="T1", shipment_date=now, delivery_date=now)


async def sell(house: House, order_id: str = "o1", total: int = 500) -> None:
    """An order that went all the way, and the report that knows it."""
    await house.log("order", placed(order_id, total), stream=order_id)
    await house.log("inventory", held(order_id), stream=order_id)
    await house.log("payment", posted("payment", total, order_id), processed(order_id, total), stream=f"payment of {order_id}")
    await house.log("shipping", booked(order_id), stream=order_id)
    house.clock.advance(seconds=1)
    await house.log("order", confirmed(order_id, total), stream=order_id)
    orders, revenue = house.report.get("2026-03-01", (0, 0))
    house.report["2026-03-01"] = (orders + 1, revenue + total)
