"""Paying from the wallet and at the door: every branch, twice, and with the undo first."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from torg.contexts.payment.contracts import (
    GetPayment,
    GetWallet,
    ListPayments,
    PaymentCaptured,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    ProcessPayment,
    TopUpWallet,
)
from torg.contexts.payment.handlers import REACTIONS
from torg.contexts.payment.handlers.payments import get_payment, list_payments, on_delivery_delivered, process_payment, refund_payment
from torg.contexts.payment.handlers.wallet import get_wallet, top_up_wallet
from torg.contexts.payment.tests.payment_setup import BUYER, ORDER, pay, payment_deps, refund, told, usd, wallet_holds
from torg.contexts.shipping.contracts import DeliveryDelivered
from torg.kit.auth import Identity, Role
from torg.kit.errors import Invalid, NotFound
from torg.kit.messages import broken_rules
from torg.kit.module import bound
from torg.kit.values import Money

OWNER = Identity(BUYER, frozenset({Role.CUSTOMER}))
STRANGER = Identity("buyer-2", frozenset({Role.CUSTOMER}))
SUPPORT = Identity("staff-1", frozenset({Role.SUPPORT}))
DELIVERED = DeliveryDelivered(order_id=ORDER, delivery_id="delivery-1", at=datetime(2026, 3, 2, tzinfo=UTC))


async def test_the_wallet_pays_at_once(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        (event,) = await told(deps)
        assert isinstance(event, PaymentProcessed)
        assert (event.captured, event.amount, event.method) == (True, usd(400), "balance")
        assert await wallet_holds(deps) == 600


async def test_a_payment_asked_twice_is_taken_once_and_answered_twice(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        await process_payment(pay(400), deps)
        first, second = await told(deps)
        assert first == second
        assert await wallet_holds(deps) == 600


async def test_a_wallet_with_too_little_pays_nothing(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(1001), deps)
        await process_payment(pay(1001), deps)
        events = await told(deps)
        assert [type(event) for event in events] == [PaymentFailed, PaymentFailed]
        assert "not enough money in the wallet" in str(getattr(events[0], "reason", ""))
        assert await wallet_holds(deps) == 1000
        (view,) = (await list_payments(ListPayments(viewer=OWNER), deps)).items
        assert (view.status, view.amount) == ("failed", usd(1001))


async def test_a_balance_raced_by_many_orders_is_spent_once(tmp_path: Path) -> None:
    async with payment_deps(tmp_path, wallet=1000) as deps:
        process = bound(REACTIONS, deps)[ProcessPayment]
        await asyncio.gather(*(process(pay(400, order_id=f"order-{n}")) for n in range(20)))
        assert await wallet_holds(deps) == 200
        payments = (await list_payments(ListPayments(viewer=OWNER, limit=100), deps)).items
        assert sorted(view.status for view in payments).count("captured") == 2


async def test_another_currency_cannot_be_paid(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        cmd = pay()
        await process_payment(type(cmd)(order_id=ORDER, user_id=BUYER, amount=Money(5, "EUR"), method="balance"), deps)
        assert isinstance((await told(deps))[0], PaymentFailed)


async def test_an_order_that_costs_nothing_is_paid_whatever_the_method(tmp_path: Path) -> None:
    async with payment_deps(tmp_path, wallet=0) as deps:
        await process_payment(pay(0, "card"), deps)
        await refund_payment(refund(), deps)
        paid, back = await told(deps)
        assert isinstance(paid, PaymentProcessed)
        assert paid.captured
        assert isinstance(back, PaymentRefunded)


async def test_the_undo_gives_the_wallet_its_money_back_once(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        await refund_payment(refund(), deps)
        await refund_payment(refund(), deps)
        events = [event for event in await told(deps) if isinstance(event, PaymentRefunded)]
        assert [event.amount for event in events] == [usd(400), usd(400)]
        assert await wallet_holds(deps) == 1000


async def test_a_paid_order_that_was_undone_is_not_paid_again(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        await refund_payment(refund(), deps)
        await process_payment(pay(400), deps)
        assert isinstance((await told(deps))[-1], PaymentFailed)
        assert await wallet_holds(deps) == 1000


async def test_refunds_in_parts_never_exceed_what_was_taken(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        for refund_id, amount in (("one", 150), ("two", 150), ("three", 150), ("four", 150)):
            await refund_payment(refund(refund_id, amount), deps)
        events = [event for event in await told(deps) if isinstance(event, PaymentRefunded)]
        assert [event.amount.amount for event in events] == [150, 150, 100, 0]
        assert await wallet_holds(deps) == 1000
        (view,) = (await list_payments(ListPayments(viewer=OWNER), deps)).items
        assert (view.status, view.refunded) == ("refunded", usd(400))


async def test_an_undo_before_the_payment_refuses_it_for_good(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await refund_payment(refund(), deps)
        await process_payment(pay(400), deps)
        undone, refused = await told(deps)
        assert isinstance(undone, PaymentRefunded)
        assert undone.amount == usd(0)
        assert isinstance(refused, PaymentFailed)
        assert await wallet_holds(deps) == 1000
        assert not (await list_payments(ListPayments(viewer=SUPPORT), deps)).items


async def test_cash_is_promised_first_and_taken_at_the_door(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(700, "cash"), deps)
        await process_payment(pay(700, "cash"), deps)
        await on_delivery_delivered(DELIVERED, deps)
        await on_delivery_delivered(DELIVERED, deps)
        promised, again, taken = await told(deps)
        assert isinstance(promised, PaymentProcessed)
        assert promised == again
        assert not promised.captured
        assert isinstance(taken, PaymentCaptured)
        assert taken.amount == usd(700)


async def test_cash_for_a_returned_parcel_goes_into_the_wallet(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(700, "cash"), deps)
        await on_delivery_delivered(DELIVERED, deps)
        await refund_payment(refund("return", 300), deps)
        assert await wallet_holds(deps) == 1300


async def test_cash_that_was_called_off_is_not_taken(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(700, "cash"), deps)
        await refund_payment(refund(), deps)
        await on_delivery_delivered(DELIVERED, deps)
        assert [type(event) for event in await told(deps)] == [PaymentProcessed, PaymentRefunded]


async def test_a_delivery_of_what_was_paid_already_takes_nothing(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        await on_delivery_delivered(DELIVERED, deps)
        assert len(await told(deps)) == 1


async def test_a_wallet_shows_its_movements_newest_first(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        filled = await top_up_wallet(TopUpWallet(owner=OWNER, amount=usd(250)), deps)
        assert filled.balance == usd(1250)
        await process_payment(pay(400), deps)
        wallet = await get_wallet(GetWallet(owner=OWNER, limit=2), deps)
        assert (wallet.balance, wallet.currency) == (usd(850), "USD")
        assert [(entry.kind, entry.amount.amount, entry.order_id) for entry in wallet.entries] == [("payment", -400, ORDER), ("top_up", 250, None)]
        rest = await get_wallet(GetWallet(owner=OWNER, cursor=str(wallet.next_cursor)), deps)
        assert [(entry.kind, entry.amount.amount) for entry in rest.entries] == [("credit", 1000)]
        assert rest.next_cursor is None


async def test_a_wallet_nobody_filled_is_empty(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        wallet = await get_wallet(GetWallet(owner=STRANGER), deps)
        assert (wallet.balance, wallet.entries) == (usd(0), ())


async def test_a_top_up_in_another_currency_is_refused(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        with pytest.raises(Invalid, match="the shop's currency is USD"):
            await top_up_wallet(TopUpWallet(owner=OWNER, amount=Money(1, "EUR")), deps)


@pytest.mark.parametrize("amount", [0, -5, 10_000_001])
def test_a_top_up_has_bounds(amount: int) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert broken_rules([("amount", usd(amount))], TopUpWallet.RULES, now)
    assert not broken_rules([("amount", usd(10_000_000))], TopUpWallet.RULES, now)


async def test_payments_are_seen_by_their_owner_and_by_support(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(100), deps)
        (mine,) = (await list_payments(ListPayments(viewer=OWNER, order_id=ORDER), deps)).items
        assert not (await list_payments(ListPayments(viewer=STRANGER, order_id=ORDER), deps)).items
        assert (await get_payment(GetPayment(mine.id, SUPPORT), deps)) == mine
        with pytest.raises(NotFound):
            await get_payment(GetPayment(mine.id, STRANGER), deps)


async def test_a_return_that_is_worth_nothing_gives_nothing_back(tmp_path: Path) -> None:
    async with payment_deps(tmp_path) as deps:
        await process_payment(pay(400), deps)
        await refund_payment(refund("return-1", 0), deps)
        assert await told(deps) == [
            PaymentProcessed(order_id=ORDER, payment_id="00000000-0000-7000-8000-000000000001", amount=usd(400), method="balance", captured=True),
            PaymentRefunded(order_id=ORDER, refund_id="return-1", payment_id="00000000-0000-7000-8000-000000000001", amount=usd(0)),
        ]
        assert await wallet_holds(deps) == 600


async def test_cash_of_a_return_that_is_heard_of_before_its_delivery_is_taken_and_given_back(tmp_path: Path) -> None:
    async with payment_deps(tmp_path, wallet=0) as deps:
        await process_payment(pay(400, "cash"), deps)
        await refund_payment(refund("return-1", 300), deps)
        await on_delivery_delivered(DELIVERED, deps)
        assert [type(event) for event in await told(deps)] == [PaymentProcessed, PaymentCaptured, PaymentRefunded]
        assert await wallet_holds(deps) == 300


async def test_a_top_up_of_one_form_is_credited_once(tmp_path: Path) -> None:
    async with payment_deps(tmp_path, wallet=0) as deps:
        first, second = [await top_up_wallet(TopUpWallet(owner=OWNER, amount=usd(500), reference="form-1"), deps) for _ in range(2)]
        assert first == second
        await top_up_wallet(TopUpWallet(owner=OWNER, amount=usd(300), reference="form-1"), deps)
        await top_up_wallet(TopUpWallet(owner=STRANGER, amount=usd(500), reference="form-1"), deps)
        assert (await wallet_holds(deps), await wallet_holds(deps, STRANGER.user_id)) == (800, 500)
