"""What payment tests start from: deps on a real SQLite file, and what was told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from torg.contexts.payment import contracts
from torg.contexts.payment.adapters.books_sql import SqlBooks
from torg.contexts.payment.adapters.ledger_sql import SqlLedger
from torg.contexts.payment.adapters.store_sql import SqlPaymentStore
from torg.contexts.payment.contracts import CreditWallet, Method, ProcessPayment, RefundPayment
from torg.contexts.payment.handlers.wallet import credit_wallet
from torg.contexts.payment.ports import Acquirer, PaymentDeps
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.kit.messages import Event, Registry
from torg.kit.tasks import Bell
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parents[1] / "migrations"
BUYER = "buyer-1"
ORDER = "order-1"


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def pay(amount: int = 500, method: Method = "balance", order_id: str = ORDER, user_id: str = BUYER) -> ProcessPayment:
    return ProcessPayment(order_id=order_id, user_id=user_id, amount=usd(amount), method=method)


def refund(refund_id: str = "undo", amount: int | None = None, order_id: str = ORDER) -> RefundPayment:
    return RefundPayment(order_id=order_id, refund_id=refund_id, reason="changed my mind", amount=None if amount is None else usd(amount))


@asynccontextmanager
async def payment_deps(folder: Path, wallet: int = 1000, acquirer: Acquirer | None = None) -> AsyncIterator[PaymentDeps]:
    """A fresh context in which BUYER's wallet holds `wallet` minor units."""
    clock = TestClock()
    async with open_store(folder, "payment", clock, Registry([contracts]), MIGRATIONS) as store:
        ledger = SqlLedger(store.database, clock)
        bell = Bell()
        payments = SqlPaymentStore(store.database, clock, ledger, bell.ring)
        deps = PaymentDeps(
            call=answering({}), clock=clock, new_id=test_ids(), store=store, currency="USD", payments=payments, ledger=ledger,
            books=SqlBooks(store.database), acquirer=acquirer or FakeAcquirer(), bell=bell, shop_url="https://shop.example",
        )  # fmt: skip
        if wallet:
            await credit_wallet(CreditWallet(user_id=BUYER, amount=usd(wallet), reference="start"), deps)
        yield deps


async def told(deps: PaymentDeps, order_id: str = ORDER) -> list[Event]:
    """What the context has said about an order to others, oldest first."""
    rows = await deps.store.log.tail(0, 10_000)
    events = [row.message for row in rows if getattr(row.message, "order_id", "") == order_id]
    return [event for event in events if isinstance(event, Event) and not isinstance(event, contracts.LedgerPosted)]


async def wallet_holds(deps: PaymentDeps, user_id: str = BUYER) -> int:
    return await deps.ledger.balance(f"wallet:{user_id}", "USD")
