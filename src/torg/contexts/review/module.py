"""The review context, put together."""

from __future__ import annotations

from torg.contexts.review.adapters.audit_sql import SqlReviewAudit
from torg.contexts.review.adapters.store_sql import SqlReviewStore
from torg.contexts.review.handlers import HANDLERS, REACTIONS
from torg.contexts.review.ports import ReviewDeps
from torg.contexts.review.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound


def build(kit: Kit) -> Module:
    deps = ReviewDeps(
        call=kit.call,
        clock=kit.clock,
        new_id=kit.new_id,
        store=kit.store,
        currency=kit.settings.currency,
        access=kit.access,
        reviews=SqlReviewStore(kit.store.database),
    )
    return Module(
        name="review",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("review", bound(REACTIONS, deps)),),
        invariants=SqlReviewAudit(kit.store, deps.reviews).invariants(),
    )
