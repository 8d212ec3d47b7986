"""The invariants find what is wrong, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from torg.contexts.payment.adapters.audit_sql import SqlPaymentAudit
from torg.contexts.payment.contracts import LedgerPosted, Posting
from torg.contexts.payment.handlers.acquiring import go_to_acquirer
from torg.contexts.payment.handlers.payments import process_payment, refund_payment
from torg.contexts.payment.ports import PaymentDeps
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.contexts.payment.tests.payment_setup import pay, payment_deps, refund, usd
from torg.kit.testing import TestClock, faults_of


@asynccontextmanager
async def a_busy_day(folder: Path) -> AsyncIterator[tuple[PaymentDeps, FakeAcquirer, SqlPaymentAudit]]:
    """Two orders paid and refunded in part, one from the wallet, one by card; the audit has looked at them once."""
    acquirer = FakeAcquirer()
    async with payment_deps(folder, 1000, acquirer) as deps:
        await process_payment(pay(400), deps)
        await process_payment(pay(300, "card", "order-2"), deps)
        await _errands(deps)
        acquirer.authorize(next(iter(acquirer.charges)))
        cast(TestClock, deps.clock).advance(seconds=10)
        await _errands(deps)
        await refund_payment(refund("part", 100), deps)
        await refund_payment(refund("part", 100, "order-2"), deps)
        await _errands(deps)
        audit = SqlPaymentAudit(deps, pause=0)
        assert await everything(audit) == []
        yield deps, acquirer, audit


async def _errands(deps: PaymentDeps) -> None:
    for _ in range(2):
        deps.bell.ring()
        await go_to_acquirer(deps)


async def everything(audit: SqlPaymentAudit) -> list[str]:
    return await faults_of(audit.invariants())


async def change(deps: PaymentDeps, statement: str) -> None:
    async with deps.transaction() as tx:
        await tx.execute(statement)


async def test_a_balance_that_is_not_the_fold_of_the_log_is_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        await change(deps, "update balance set amount = amount + 1")
        (fault,) = await SqlPaymentAudit(deps, pause=0).ledger()
        assert "holds 701 USD; its entries say 700, the log 700" in fault.sentence


async def test_a_lost_entry_is_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        await change(deps, "delete from entry where kind = 'refund'")
        found = await everything(SqlPaymentAudit(deps, pause=0))
        assert sum("the ledger says" in sentence for sentence in found) == 2
        assert sum("its entries say" in sentence for sentence in found) == 1


async def test_postings_that_do_not_sum_to_zero_are_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, audit):
        crooked = LedgerPosted(kind="payment", reference="x", currency="USD", postings=(Posting("revenue/orders", 5), Posting("cash_in_transit", -4)))
        async with deps.transaction() as tx:
            await tx.append("x", [crooked])
        assert [fault.sentence for fault in await audit.ledger()] == ["the postings of payment x do not sum to zero"]


async def test_a_payment_that_says_other_than_the_ledger_is_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        await change(deps, "update payment set refunded = 50 where order_id = 'order-1'")
        (fault,) = await SqlPaymentAudit(deps, pause=0).limits()
        assert "captured 400, refunded 50; the ledger says 400 and 100" in fault.sentence


async def test_books_that_disagree_are_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (_, acquirer, audit):
        (charge,) = acquirer.charges.values()
        acquirer.charges[charge.id] = replace(charge, refunded=0)
        (fault,) = await audit.books()
        assert "captured, 300, 0 in the acquirer's books" in fault.sentence
        acquirer.charges[charge.id] = charge
        assert await audit.books() == []


async def test_a_charge_for_no_payment_is_found(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (_, acquirer, audit):
        await acquirer.create_session("nobody's", usd(5), "https://elsewhere.example")
        (fault,) = await audit.books()
        assert "unknown here" in fault.sentence


async def test_what_is_still_under_way_is_no_disagreement(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, audit):
        await process_payment(pay(200, "card", "order-3"), deps)
        await _errands(deps)
        acquirer.settle(list(acquirer.charges)[-1])
        acquirer.away = True
        assert await audit.books() == []
        acquirer.away = False
        assert await audit.books() == []
