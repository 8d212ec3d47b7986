"""The analytics context, put together."""

from __future__ import annotations

from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.handlers import HANDLERS, REACTIONS
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.analytics.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.operations import Invariant


def build(kit: Kit) -> Module:
    deps = AnalyticsDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, facts=SqlFacts(kit.store.database)
    )
    database = kit.store.database

    async def reports_equal_facts() -> list[str]:
        """The day's rollup against a recount of the sales."""
        wrong = await database.all(
            """select coalesce(f.day, r.day) as day, coalesce(f.orders, 0) as facts, coalesce(r.orders, 0) as report from
               (select day, count(*) as orders, sum(revenue) as revenue from sale group by day) as f
               full join (select day, orders, revenue from rollup_day where dimension = 'day') as r on r.day = f.day
               where coalesce(f.orders, 0) <> coalesce(r.orders, 0) or coalesce(f.revenue, 0) <> coalesce(r.revenue, 0)"""
        )
        return [f"on {row['day']} the report says {row['report']} orders, the facts {row['facts']}" for row in wrong]

    return Module(
        name="analytics",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("analytics", bound(REACTIONS, deps)),),
        invariants=(Invariant("sales reports", "Sales reports equal a recount of the confirmed orders that were not undone.", reports_equal_facts),),
    )
