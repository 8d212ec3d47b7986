"""The order context, put together."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from torg.contexts.order.adapters.audit_sql import SqlOrderAudit
from torg.contexts.order.adapters.shards import ORDERS
from torg.contexts.order.adapters.store_sql import SqlOrderStore
from torg.contexts.order.handlers import HANDLERS, REACTIONS
from torg.contexts.order.handlers.erasing import erase_ended
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.routes import routes
from torg.contexts.order.sagas import SAGAS
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.saga_runner import SagaRunner
from torg.kit.shards import tagged
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    new_id = tagged(kit.new_id, kit.shard)  # also where there is one database: another may be added later
    orders = SqlOrderStore(kit.store.database, kit.clock, kit.former)
    sagas = SagaRunner(kit.store, SAGAS, new_id)
    deps = OrderDeps(
        call=kit.call, clock=kit.clock, new_id=new_id, store=kit.store, currency=kit.settings.currency, access=kit.access,
        orders=orders, sagas=sagas, pay_within=timedelta(minutes=kit.settings.card_payment_minutes),
    )  # fmt: skip
    handlers = bound(HANDLERS, deps)
    sagas.bind(handlers)
    return Module(
        name="order",
        handlers=handlers,
        routes=routes(deps),
        consumers=(Consumer("order", bound(REACTIONS, deps)), Consumer("order.sagas", sagas.answers())),
        jobs=(Job("order.deadlines", 0.5, sagas.work_on_deadlines), Job("order.erasures", 60, partial(erase_ended, deps))),
        sagas=sagas,
        invariants=SqlOrderAudit(kit.store, orders).invariants(),
        sharding=ORDERS,
    )
