"""Tables of money that something has changed are made what the log says, while people pay; a charge that was taken twice goes back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from torg.contexts.payment import contracts as c
from torg.contexts.payment.adapters.audit_sql import SqlPaymentAudit
from torg.contexts.payment.handlers.acquiring import take_notice
from torg.contexts.payment.handlers.mending import get_charge, rebuild_balances, refund_charge
from torg.contexts.payment.handlers.payments import process_payment, refund_payment
from torg.contexts.payment.model import Charge
from torg.contexts.payment.ports import Notice, PaymentDeps
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.contexts.payment.tests.payment_setup import pay, refund, usd, wallet_holds
from torg.contexts.payment.tests.test_audit import a_busy_day, everything
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Forbidden, NotFound
from torg.kit.messages import Message
from torg.kit.rebuilding import Rebuilt
from torg.kit.testing import drop_checks

OLGA = Identity("olga", frozenset({Role.ADMIN}))
VERA = Identity("vera", frozenset({Role.SUPPORT}))


async def rebuild(deps: PaymentDeps, *, dry_run: bool = False, reason: str = "") -> Rebuilt:
    return await rebuild_balances(c.RebuildBalances(operator=OLGA, dry_run=dry_run, reason=reason), deps)


async def logged(deps: PaymentDeps, kind: type[Message]) -> list[Message]:
    return [row.message for row in await deps.store.log.tail(0, 10_000) if isinstance(row.message, kind)]


async def spoil(deps: PaymentDeps, statement: str) -> None:
    async with deps.transaction() as tx:
        await drop_checks(tx, deps.store.database)
        await tx.execute(statement)


async def test_nothing_is_changed_or_told_of_money_in_order(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        assert (await rebuild(deps)).wrong == 0
        assert await logged(deps, c.BooksMended) == []


@pytest.mark.parametrize(
    "statement",
    [
        "update balance set amount = amount + 1",
        "update balance set amount = -5",
        "delete from balance",
        "delete from entry where kind = 'refund'",
        "delete from entry where account = 'wallet:buyer-1' and kind = 'credit'",
        "update entry set amount = amount + 3 where kind = 'payment' and account = 'revenue/orders'",
        "insert into entry (account, amount, currency, kind, reference, order_id, at) values ('wallet:buyer-1', 7, 'USD', 'credit', 'forged', '', '')",
        "insert into entry (account, amount, currency, kind, reference, order_id, at) values ('wallet:buyer-1', 7, 'USD', 'refund', 'no/such', '', '')",
        "update payment set captured = 0, refunded = 0, status = 'pending' where order_id = 'order-1'",
        "update payment set refunded = 50 where order_id = 'order-1'",
        "update payment set refunding = 20 where order_id = 'order-2'",
        "update payment set status = 'refunded', refunded = captured where order_id = 'order-2'",
    ],
)
async def test_each_kind_of_damage_is_mended_and_told(tmp_path: Path, statement: str) -> None:
    async with a_busy_day(tmp_path) as (deps, _, audit):
        before = await _tables(deps)
        await spoil(deps, statement)
        planned = await rebuild(deps, dry_run=True)
        assert planned.wrong > 0
        assert await logged(deps, c.BooksMended) == [], "it was only asked what would be changed"
        rebuilt = await rebuild(deps, reason="somebody had been at the tables")
        assert rebuilt.changes == planned.changes
        assert await _tables(deps) == before
        assert await everything(audit) == await everything(SqlPaymentAudit(deps, pause=0)) == []
        told = cast(list[c.BooksMended], await logged(deps, c.BooksMended))
        assert len(told) == len(rebuilt.changes)
        assert {(event.reason, event.by) for event in told} == {("somebody had been at the tables", "olga")}
        assert (await rebuild(deps)).wrong == 0


async def _tables(deps: PaymentDeps) -> list[list[list[object]]]:
    ask = deps.store.database.all
    return [
        [list(dict(row).values()) for row in await ask("select account, currency, amount from balance order by account")],
        [
            list(dict(row).values())
            for row in await ask("select account, amount, currency, kind, reference, order_id, at from entry order by kind, reference, account")
        ],
        [list(dict(row).values()) for row in await ask("select id, captured, refunding, refunded, status from payment order by id")],
    ]


async def test_nothing_is_lost_that_is_paid_meanwhile(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        await spoil(deps, "update balance set amount = amount + 100")
        orders = [pay(5, order_id=f"more-{number}") for number in range(30)]
        paid = [deps.store.undisturbed(partial(process_payment, order, deps), "test") for order in orders]
        await asyncio.gather(rebuild(deps), *paid)
        assert (await rebuild(deps)).wrong == 0
        assert await wallet_holds(deps) == 1000 - 400 + 100 - 30 * 5
        assert await everything(SqlPaymentAudit(deps, pause=0)) == []


async def test_a_refund_that_is_on_its_way_stays_on_it(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, _):
        acquirer.away = True
        await refund_payment(refund("rest", 50, "order-2"), deps)
        assert (await rebuild(deps)).wrong == 0


async def test_what_the_log_itself_makes_impossible_is_left_to_people(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, _, _):
        crooked = c.LedgerPosted(kind="credit", reference="x", currency="USD", postings=(c.Posting("goodwill", 4), c.Posting("wallet:buyer-1", -5)))
        async with deps.transaction() as tx:
            await tx.append("wallet:buyer-1", [crooked])
        rebuilt = await rebuild(deps)
        assert rebuilt.changes == ()
        assert rebuilt.left == ("the postings of credit x do not sum to zero in the log itself: that is a developer's",)


# ---------------------------------------------------------------- charged twice


def charged_again(acquirer: FakeAcquirer) -> tuple[Charge, Charge]:
    """The one that counts, and another of the same payment."""
    (own,) = acquirer.charges.values()
    again = replace(own, id="charge-again", refunded=0)
    acquirer.charges[again.id] = again
    return own, again


async def give_back(charge_id: str, deps: PaymentDeps, operator: Identity = OLGA) -> c.ChargeView:
    return await refund_charge(c.RefundCharge(charge_id=charge_id, reason="the acquirer took it twice", operator=operator), deps)


@pytest.mark.parametrize(
    ("amount", "hour", "operator", "may"),
    [
        (50_000, 0, VERA, True),
        (50_001, 0, VERA, False),
        (50_001, 5, VERA, False),
        (50_001, 6, VERA, True),
        (50_001, 17, VERA, True),
        (50_001, 18, VERA, False),
        (50_001, 0, OLGA, True),
    ],
)
async def test_support_gives_much_money_back_in_working_hours_alone(tmp_path: Path, amount: int, hour: int, operator: Identity, may: bool) -> None:
    """Hours are UTC here, and Moscow's in the policy: three more."""
    async with a_busy_day(tmp_path) as (deps, acquirer, _):
        (own,) = acquirer.charges.values()
        acquirer.charges["again"] = replace(own, id="again", captured=amount, refunded=0)
        then = replace(deps, clock=lambda: datetime(2026, 11, 22, hour, tzinfo=UTC))
        if may:
            assert (await give_back("again", then, operator)).refunded == usd(amount)
        else:
            with pytest.raises(Forbidden, match=r"up to 50000 minor units, and this is about 50001 or from 09:00:00 until 21:00:00 \(Europe/Moscow\)"):
                await give_back("again", then, operator)
            assert acquirer.charges["again"].refunded == 0


async def test_a_charge_that_was_taken_twice_goes_back_once(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, audit):
        own, again = charged_again(acquirer)
        (fault,) = await audit.books()
        assert (fault.about, fault.id, fault.remedy) == ("charge", again.id, "refund_charge")
        assert (await get_charge(c.GetCharge(again.id), deps)).only_one == ""
        first, second = await give_back(again.id, deps), await give_back(again.id, deps)
        assert first == second
        assert (first.captured, first.refunded, first.counts) == (usd(300), usd(300), own.id)
        assert acquirer.charges[own.id] == own
        (told,) = cast(list[c.ChargeRefunded], await logged(deps, c.ChargeRefunded))
        assert (told.charge_id, told.amount, told.reason, told.by) == (again.id, usd(300), "the acquirer took it twice", "olga")
        assert await everything(audit) == await everything(SqlPaymentAudit(deps, pause=0)) == []


async def test_a_charge_whose_refund_was_not_heard_of_is_told_of_when_it_is_asked_for_again(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, _):
        _, again = charged_again(acquirer)
        await acquirer.refund(again.id, f"twice/{again.id}", usd(300))  # and then the process that had asked died
        assert (await give_back(again.id, deps)).refunded == usd(300)
        assert len(await logged(deps, c.ChargeRefunded)) == 1
        assert sum(asked.startswith("refund charge-again") for asked in acquirer.asked) == 1


async def test_the_only_charge_of_an_order_is_not_given_back_so(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, _):
        (own,) = acquirer.charges.values()
        with pytest.raises(DomainError, match="is the only one of order order-2"):
            await give_back(own.id, deps)
        acquirer.charges["other"] = replace(own, id="other")
        acquirer.charges[own.id] = replace(own, status="failed", captured=0, refunded=0)
        with pytest.raises(DomainError, match="has not been captured"):
            await give_back("other", deps)
        with pytest.raises(NotFound):
            await give_back("nobody's", deps)
        assert acquirer.charges["other"].refunded == own.refunded


async def test_a_payment_stays_with_its_charge_whatever_is_told_of_another(tmp_path: Path) -> None:
    async with a_busy_day(tmp_path) as (deps, acquirer, _):
        own, again = charged_again(acquirer)
        await take_notice("sandbox", Notice("n1", again), deps)
        payment = await deps.payments.find(own.reference)
        assert payment is not None
        assert payment.acquirer_id == own.id
