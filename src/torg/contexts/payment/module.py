"""The payment context, put together."""

from __future__ import annotations

from torg.contexts.payment.adapters.ledger_sql import SqlLedger
from torg.contexts.payment.adapters.store_sql import SqlPaymentStore
from torg.contexts.payment.handlers import HANDLERS, REACTIONS
from torg.contexts.payment.ports import PaymentDeps
from torg.contexts.payment.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound


def build(kit: Kit) -> Module:
    ledger = SqlLedger(kit.store.database, kit.clock)
    payments = SqlPaymentStore(kit.store.database, kit.clock, ledger)
    deps = PaymentDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, payments=payments, ledger=ledger
    )  # fmt: skip
    return Module(
        name="payment",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("payment", bound(REACTIONS, deps)),),
    )
