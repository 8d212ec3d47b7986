"""The review context, put together."""

from __future__ import annotations

from torg.contexts.review.adapters.reviews_sql import SqlReviews
from torg.contexts.review.handlers import HANDLERS, REACTIONS
from torg.contexts.review.ports import ReviewDeps
from torg.contexts.review.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.operations import Invariant


def build(kit: Kit) -> Module:
    deps = ReviewDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, reviews=SqlReviews(kit.store.database)
    )

    async def miscounted() -> list[str]:
        return list(await deps.reviews.miscounted())

    return Module(
        name="review",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("review", bound(REACTIONS, deps)),),
        invariants=(Invariant("ratings", "Ratings and votes equal a recount of published reviews and of votes.", miscounted),),
    )
