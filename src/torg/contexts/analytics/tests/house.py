"""The context over either store of facts, and orders to tell it of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers
from torg.contexts.analytics.adapters.audit import SalesAudit
from torg.contexts.analytics.adapters.clickhouse import Address, ClickHouse
from torg.contexts.analytics.adapters.clickhouse_sender import Sender
from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts
from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.adapters.recount_sql import Portions
from torg.contexts.analytics.ports import AnalyticsDeps, Facts
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.order import contracts as oc
from torg.contexts.user import contracts as uc
from torg.kit.messages import Registry
from torg.kit.operations import DeskView
from torg.kit.store import Store
from torg.kit.testing import TestClock, answering, faults_of, open_store, test_ids
from torg.kit.values import Money, new_id

MIGRATIONS = Path(__file__).parents[1] / "migrations"
REGISTRY = Registry([oc, c, uc])

SMALL = Portions(compared=3)


def deps_of(store: Store, facts: Facts, desks: Mapping[str, DeskView] | None = None) -> AnalyticsDeps:
    call = answering({GetOffers: lambda _: ()})
    return AnalyticsDeps(call=call, clock=store.clock, new_id=test_ids(), store=store, currency="USD", facts=facts, desks=desks or {})


def in_clickhouse(store: Store, server: ClickHouse, gather: float = 0.05) -> ClickHouseFacts:
    """One instance's facts: several may be made for a store."""
    return ClickHouseFacts(store.database, server, Sender(store.database, server, store.clock, gather), store.clock, new_id)


@asynccontextmanager
async def own_database(url: str) -> AsyncIterator[ClickHouse]:
    """A database of the server for one test."""
    name = f"test_{new_id().replace('-', '')}"
    server = ClickHouse(Address.of(urlunsplit(urlsplit(url)._replace(path=f"/{name}"))))
    await server.make_database()
    try:
        yield server
    finally:
        await server.execute(f"drop database {name} sync")
        await server.close()


@asynccontextmanager
async def sql_house(folder: Path, clock: TestClock, portions: Portions = SMALL) -> AsyncIterator[AnalyticsDeps]:
    async with open_store(folder, "analytics", clock, REGISTRY, MIGRATIONS) as store:
        yield deps_of(store, SqlFacts(store.database, store.clock, new_id, portions))


@asynccontextmanager
async def clickhouse_house(folder: Path, clock: TestClock, url: str) -> AsyncIterator[AnalyticsDeps]:
    async with own_database(url) as server, open_store(folder, "analytics", clock, REGISTRY, MIGRATIONS) as store:
        yield deps_of(store, in_clickhouse(store, server))


async def settle(deps: AnalyticsDeps) -> None:
    """Until all that was told shows in the reports."""
    if isinstance(deps.facts, ClickHouseFacts):
        while await deps.facts.sender.send():
            pass


def line(product: str, quantity: int = 1, price: int = 100, path: tuple[str, ...] = ("food", "bread")) -> oc.OrderLine:
    return oc.OrderLine(
        product_id=product, name=product, quantity=quantity, unit_price=Money(price, "USD"), line_total=Money(price * quantity, "USD"), category_path=path
    )


async def sell(deps: AnalyticsDeps, order_id: str, *lines: oc.OrderLine, user: str = "u1", city: str = "Moscow", delivery: int = 0) -> None:
    total = Money(sum(x.line_total.amount for x in lines) + delivery, "USD")
    await handlers.on_order_confirmed(oc.OrderConfirmed(order_id=order_id, user_id=user, lines=lines, city=city, total=total, placed_at=deps.clock()), deps)


async def cancel(deps: AnalyticsDeps, order_id: str, was_sale: bool = True) -> None:
    await handlers.on_order_cancelled(oc.OrderCancelled(order_id=order_id, user_id="u1", reason="x", was_sale=was_sale), deps)


def returned(order_id: str, return_id: str, *goods: oc.OrderLine, whole: bool = False) -> oc.OrderReturned:
    lines = tuple(oc.ReturnLine(x.product_id, x.quantity) for x in goods)
    refund = Money(sum(x.line_total.amount for x in goods), "USD")
    return oc.OrderReturned(order_id=order_id, user_id="u1", return_id=return_id, lines=lines, refund=refund, whole=whole, goods=goods)


async def rows(deps: AnalyticsDeps, group_by: c.Grouping) -> dict[str, tuple[int, int, int]]:
    await settle(deps)
    report = await handlers.get_sales(c.GetSales(group_by=group_by, limit=1000), deps)
    return {row.key: (row.orders, row.units, row.revenue.amount) for row in report.items}


async def everything(deps: AnalyticsDeps, *products: str) -> dict[str, object]:
    """All that the reports say."""
    await settle(deps)
    groups: tuple[c.Grouping, ...] = ("day", "week", "month", "category", "product", "city")
    found: dict[str, object] = {group: await handlers.get_sales(c.GetSales(group_by=group, limit=1000), deps) for group in groups}
    found |= {f"{group} of March": await handlers.get_sales(c.GetSales(since="2026-02-20", until="2026-04-10", group_by=group), deps) for group in groups}
    found |= {by: await handlers.get_top_products(c.GetTopProducts(by=by), deps) for by in ("units", "revenue")}
    found |= {product: await handlers.get_recommendations(c.GetRecommendations(product), deps) for product in products}
    found |= {"funnel": await handlers.get_funnel(c.GetFunnel(), deps), "cohorts": await handlers.get_cohorts(c.GetCohorts(), deps)}
    return found | {"miscounted": await faults_of(SalesAudit(deps.facts).invariants())}
