"""The payment context, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.payment.adapters.acquirer_sandbox import SandboxAcquirer
from torg.contexts.payment.adapters.audit_sql import SqlPaymentAudit
from torg.contexts.payment.adapters.books_sql import SqlBooks
from torg.contexts.payment.adapters.ledger_sql import SqlLedger
from torg.contexts.payment.adapters.store_sql import SqlPaymentStore
from torg.contexts.payment.handlers import HANDLERS, REACTIONS
from torg.contexts.payment.handlers.acquiring import forget_webhooks, go_to_acquirer
from torg.contexts.payment.ports import PaymentDeps
from torg.contexts.payment.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Bell, Job


def build(kit: Kit) -> Module:
    bell, ledger = Bell(), SqlLedger(kit.store.database, kit.clock)
    payments = SqlPaymentStore(kit.store.database, kit.clock, ledger, bell.ring)
    settings = kit.settings
    secret = settings.acquirer_secret or kit.randomness(32).hex()  # without a known secret no webhook can be true
    acquirer = SandboxAcquirer(settings.acquirer_url or f"{kit.public_url}/acquirer", secret)
    deps = PaymentDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=settings.currency, access=kit.access,
        payments=payments, ledger=ledger, books=SqlBooks(kit.store.database), acquirer=acquirer, bell=bell, shop_url=kit.public_url,
    )  # fmt: skip
    return Module(
        name="payment",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        consumers=(Consumer("payment", bound(REACTIONS, deps)),),
        jobs=(Job("payment.acquirer", 0, partial(go_to_acquirer, deps)), Job("payment.webhooks", 3600, partial(forget_webhooks, deps))),
        invariants=SqlPaymentAudit(deps, kit.second_look).invariants(),
        close=acquirer.close,
    )
