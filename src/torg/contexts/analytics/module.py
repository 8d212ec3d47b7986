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
    deps = AnalyticsDeps(call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, facts=SqlFacts(kit.store.database))
    return Module(
        name="analytics",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("analytics", bound(REACTIONS, deps)),),
        invariants=(Invariant("analytics.sales", "Sales reports equal a recount of the confirmed orders that were not undone.", deps.facts.miscounted),),
    )
