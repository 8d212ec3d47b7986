"""The shipping context, put together."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from torg.contexts.shipping.adapters.audit_sql import SqlDeliveryAudit
from torg.contexts.shipping.adapters.store_sql import SqlDeliveries
from torg.contexts.shipping.handlers import HANDLERS, REACTIONS, carry_on, erase_ended
from torg.contexts.shipping.ports import ShippingDeps
from torg.contexts.shipping.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    seconds = kit.settings.carrier_seconds
    deps = ShippingDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access,
        deliveries=SqlDeliveries(kit.store.database, kit.clock), stage=timedelta(seconds=seconds) if seconds else None,
    )  # fmt: skip
    carrier: tuple[Job, ...] = (Job("shipping.carrier", min(max(seconds / 4, 0.1), 5), partial(carry_on, deps)),) if seconds else ()
    return Module(
        name="shipping",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("shipping", bound(REACTIONS, deps)),),
        jobs=(Job("shipping.erasures", 60, partial(erase_ended, deps)), *carrier),
        invariants=SqlDeliveryAudit(deps).invariants(),
    )
