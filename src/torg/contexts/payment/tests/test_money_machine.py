"""Buyers, orders, couriers, a bank and an acquirer that act in any order, twice, late and with lost replies: money stays what it was."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from torg.contexts.payment.adapters.audit_sql import SqlPaymentAudit
from torg.contexts.payment.contracts import CreditWallet, LedgerPosted, Method, ProcessPayment, TopUpWallet
from torg.contexts.payment.handlers.acquiring import go_to_acquirer, take_notice
from torg.contexts.payment.handlers.payments import on_delivery_delivered, process_payment, refund_payment
from torg.contexts.payment.handlers.wallet import credit_wallet, top_up_wallet
from torg.contexts.payment.model import Charge, fold
from torg.contexts.payment.ports import Notice
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.contexts.payment.tests.payment_setup import pay, payment_deps, refund, usd, wallet_holds
from torg.contexts.shipping.contracts import DeliveryDelivered
from torg.kit.auth import Identity
from torg.kit.testing import START, TestClock

pytestmark = pytest.mark.slow
T = TypeVar("T")
USERS = st.sampled_from(["ann", "bob"])
AMOUNTS = st.integers(1, 600)
REFUNDS = st.sampled_from(["undo", "cancel", "return-1", "return-2"])
METHODS: st.SearchStrategy[Method] = st.sampled_from(["card", "card", "balance", "cash"])


class Money(RuleBasedStateMachine):
    orders: Bundle[str] = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.runner, self.stack = asyncio.Runner(), AsyncExitStack()
        self.acquirer, self.folder, self.notices = FakeAcquirer(), tempfile.TemporaryDirectory(), 0
        self.deps = self.do(self.stack.enter_async_context(payment_deps(Path(self.folder.name), 0, self.acquirer)))
        self.audit, self.put_in = SqlPaymentAudit(self.deps, pause=0), 0
        self.asked: dict[str, ProcessPayment] = {}

    def do(self, work: Awaitable[T]) -> T:
        async def wait() -> T:
            return await work

        return self.runner.run(wait())

    @initialize(amount=st.integers(1, 1500))
    def fill_wallets(self, amount: int) -> None:
        self.top_up("ann", amount)
        self.top_up("bob", 1000)

    @rule(user=USERS, amount=AMOUNTS)
    def top_up(self, user: str, amount: int) -> None:
        self.do(top_up_wallet(TopUpWallet(owner=Identity(user, frozenset()), amount=usd(amount)), self.deps))
        self.put_in += amount

    @rule(user=USERS)
    def credit_twice(self, user: str) -> None:
        before = self.do(wallet_holds(self.deps, user))
        for _ in range(2):
            self.do(credit_wallet(CreditWallet(user_id=user, amount=usd(50), reference=f"gift of {user}"), self.deps))
        self.put_in += self.do(wallet_holds(self.deps, user)) - before

    @rule(target=orders, user=USERS, amount=AMOUNTS, method=METHODS, fate=st.sampled_from(["", "page", "page", "page", "undone"]))
    def pay(self, user: str, amount: int, method: Method, fate: str) -> str:
        order = f"order-{len(self.asked)}"
        self.asked[order] = pay(amount, method, order, user)
        if fate == "undone":
            self.do(refund_payment(refund("undo", None, order), self.deps))
        self.pay_again(order)
        if fate == "page":
            self.run_errands(0)
        return order

    @rule(order=orders)
    def pay_again(self, order: str) -> None:
        self.do(process_payment(self.asked[order], self.deps))

    @rule(order=orders, refund_id=REFUNDS, amount=st.none() | AMOUNTS)
    def refund(self, order: str, refund_id: str, amount: int | None) -> None:
        self.do(refund_payment(refund(refund_id, amount, order), self.deps))

    @rule(order=orders)
    def deliver(self, order: str) -> None:
        self.do(on_delivery_delivered(DeliveryDelivered(order_id=order, delivery_id=f"of {order}", at=START), self.deps))

    @rule(order=orders, act=st.sampled_from(["authorize", "authorize", "refuse", "settle"]), tell=st.booleans())
    def bank(self, order: str, act: str, tell: bool) -> None:
        """What a bank may do to a charge that is open, and a webhook that may be told of it, twice."""
        charge = self.charge(order)
        if charge and charge.status == "open":
            getattr(self.acquirer, act)(charge.id)
        if charge and tell:
            self.notices += 1
            for _ in range(2):
                self.do(take_notice("sandbox", Notice(f"notice-{self.notices}", self.acquirer.charges[charge.id]), self.deps))

    @rule(order=orders)
    def old_news(self, order: str) -> None:
        """A webhook about how a charge stood before it was captured."""
        charge = self.charge(order)
        if charge and charge.captured:
            self.notices += 1
            stale = replace(charge, status="authorized", captured=0, refunded=0)
            self.do(take_notice("sandbox", Notice(f"old-{self.notices}", stale), self.deps))

    @rule(order=orders)
    def whole_card_way(self, order: str) -> None:
        """Everything as it should be, so that many orders get this far."""
        self.run_errands(11)
        self.bank(order, "authorize", True)
        self.run_errands(0)

    @rule(lost=st.integers(0, 2), away=st.booleans(), seconds=st.sampled_from([0, 1, 11, 40]))
    def errands(self, lost: int, away: bool, seconds: int) -> None:
        self.acquirer.lost, self.acquirer.away = lost, away
        self.run_errands(seconds)
        self.acquirer.lost, self.acquirer.away = 0, False

    def charge(self, order: str) -> Charge | None:
        payment = self.do(self.deps.payments.page("", order, "", 1)).items
        return self.acquirer.charges.get(f"charge-of-{payment[0].id}") if payment else None

    def run_errands(self, seconds: int) -> None:
        cast(TestClock, self.deps.clock).advance(seconds=seconds)
        self.deps.bell.ring()
        self.do(go_to_acquirer(self.deps))

    @invariant()
    def ledger_and_limits_hold(self) -> None:
        assert self.do(self.audit.ledger()) == []
        assert self.do(self.audit.limits()) == []

    @invariant()
    def all_accounts_together_are_zero(self) -> None:
        rows = self.do(self.deps.store.log.tail(0, 100_000))
        sums = fold(row.message for row in rows if isinstance(row.message, LedgerPosted))
        assert sum(sums.values()) == 0
        assert sums.get(("top_ups", "USD"), 0) + sums.get(("goodwill", "USD"), 0) == -self.put_in

    def teardown(self) -> None:
        """Once faults stop and the banks are done, everything settles and both books agree."""
        try:
            for number, charge in enumerate(list(self.acquirer.charges.values())):
                if charge.status == "open":
                    (self.acquirer.refuse if number % 2 else self.acquirer.settle)(charge.id)
            for _ in range(8):
                self.run_errands(60)
            assert self.do(self.deps.payments.errands_due(self.deps.clock().replace(year=2100), 10)) == []
            assert self.do(self.audit.books()) == []
            self.ledger_and_limits_hold()
        finally:
            self.do(self.stack.aclose())
            self.runner.close()
            self.folder.cleanup()


TestMoney = Money.TestCase
TestMoney.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], database=None
)
