"""Paying by card: every branch, twice, out of order, with the undo first, with money that comes late, and with an acquirer that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from torg.contexts.payment.contracts import CheckPayment, PaymentFailed, PaymentProcessed, PaymentRedirected, PaymentRefunded
from torg.contexts.payment.handlers.acquiring import ask_acquirer, check_payment, go_to_acquirer, take_notice
from torg.contexts.payment.handlers.payments import process_payment, refund_payment
from torg.contexts.payment.model import Payment
from torg.contexts.payment.ports import Notice, PaymentDeps
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.contexts.payment.tests.payment_setup import BUYER, ORDER, pay, payment_deps, refund, told, usd
from torg.kit.auth import Identity
from torg.kit.errors import DomainError
from torg.kit.testing import TestClock

OWNER = Identity(BUYER, frozenset())


class Till:
    """A card payment under way, with the acquirer's side at hand."""

    def __init__(self, deps: PaymentDeps, acquirer: FakeAcquirer) -> None:
        self.deps, self.acquirer, self._notices = deps, acquirer, 0

    @property
    def charge_id(self) -> str:
        (charge,) = self.acquirer.charges.values()
        return charge.id

    async def errands(self, rounds: int = 3) -> None:
        """Does what is due, and what comes of it."""
        for _ in range(rounds):
            self.deps.bell.ring()
            await go_to_acquirer(self.deps)

    def later(self, **by: float) -> None:
        cast(TestClock, self.deps.clock).advance(**by)

    async def webhook(self, id: str = "") -> None:
        """Tells how the charge stands now."""
        self._notices += 1
        charge = self.acquirer.charges[self.charge_id]
        await take_notice("sandbox", Notice(id or f"notice-{self._notices}", charge), self.deps)

    async def payment(self) -> Payment:
        async with self.deps.transaction() as tx:
            found = await self.deps.payments.of_order(tx, ORDER)
        assert found
        return found


@asynccontextmanager
async def a_till(folder: Path, started: bool = True) -> AsyncIterator[Till]:
    acquirer = FakeAcquirer()
    async with payment_deps(folder, wallet=0, acquirer=acquirer) as deps:
        till = Till(deps, acquirer)
        if started:
            await process_payment(pay(500, "card"), deps)
            await till.errands()
        yield till


async def kinds(till: Till) -> list[str]:
    return [type(event).__name__ for event in await told(till.deps)]


async def test_the_buyer_is_sent_to_the_acquirers_page(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        (event,) = await told(till.deps)
        assert isinstance(event, PaymentRedirected)
        assert event.redirect_url == till.acquirer.charges[till.charge_id].url
        await process_payment(pay(500, "card"), till.deps)
        await till.errands()
        assert (await told(till.deps))[1] == event
        assert [asked for asked in till.acquirer.asked if asked.startswith("create")] == [f"create {event.payment_id}"]


async def test_an_authorized_card_is_captured_and_settles_the_payment(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.authorize(till.charge_id)
        await till.webhook()
        assert (await till.payment()).status == "authorized"
        await till.errands()
        event = (await told(till.deps))[-1]
        assert isinstance(event, PaymentProcessed)
        assert (event.captured, event.amount, event.method) == (True, usd(500), "card")
        assert till.acquirer.charges[till.charge_id].captured == 500


async def test_webhooks_twice_and_out_of_order_settle_once(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        authorized = Notice("a", till.acquirer.authorize(till.charge_id))
        captured = Notice("b", till.acquirer.settle(till.charge_id))
        for notice in (captured, authorized, captured, authorized):
            await take_notice("sandbox", notice, till.deps)
            await take_notice("sandbox", Notice(f"again {notice.id}", notice.charge), till.deps)
            assert (await till.payment()).status == "captured"
        await till.errands()
        assert await kinds(till) == ["PaymentRedirected", "PaymentProcessed"]


async def test_bad_news_after_the_money_came_changes_nothing(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        await paid(till)
        charge = till.acquirer.charges[till.charge_id]
        await take_notice("sandbox", Notice("old", replace(charge, status="failed", captured=0)), till.deps)
        assert (await till.payment()).status == "captured"


async def test_an_errand_rings_for_the_job_once_it_is_filed(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        await process_payment(pay(500, "card"), till.deps)
        await asyncio.wait_for(till.deps.bell.wait(60), 30)


async def test_a_webhook_that_comes_before_the_pages_reply_is_heard(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        await process_payment(pay(500, "card"), till.deps)
        till.acquirer.lost = 1
        await till.errands(1)
        till.acquirer.authorize(till.charge_id)
        await till.webhook()
        till.later(seconds=20)
        await till.errands()
        assert await kinds(till) == ["PaymentProcessed"]


async def test_a_refused_card_fails_the_payment(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.refuse(till.charge_id)
        await till.webhook()
        await till.webhook()
        await process_payment(pay(500, "card"), till.deps)
        events = await told(till.deps)
        assert await kinds(till) == ["PaymentRedirected", "PaymentFailed", "PaymentFailed"]
        assert isinstance(events[1], PaymentFailed)
        assert events[1].reason == "the bank refused the card"


async def test_a_lost_webhook_settles_by_asking(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.authorize(till.charge_id)
        till.later(seconds=2)
        await till.errands()
        assert await kinds(till) == ["PaymentRedirected"]
        till.later(seconds=2)
        await till.errands()
        assert await kinds(till) == ["PaymentRedirected", "PaymentProcessed"]


async def test_a_buyer_who_comes_back_has_the_acquirer_asked_at_once(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.authorize(till.charge_id)
        view = await check_payment(CheckPayment((await till.payment()).id, OWNER), till.deps)
        assert view.status == "pending"
        await till.errands()
        assert (await till.payment()).status == "captured"


async def test_asking_in_vain_is_done_ever_more_slowly(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        asked = []
        for second in range(120):
            till.later(seconds=1)
            await till.errands(1)
            asked += [second] if till.acquirer.asked[-1].startswith("get") else []
            till.acquirer.asked.append("-")
        assert 5 <= len(asked) <= 20
        assert asked[-1] - asked[-2] > asked[1] - asked[0]


async def test_replies_lost_after_the_charge_take_the_money_once(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.authorize(till.charge_id)
        till.acquirer.lost = 3
        await till.webhook()
        for _ in range(6):
            till.later(seconds=10)
            await till.errands()
        assert await kinds(till) == ["PaymentRedirected", "PaymentProcessed"]
        assert (await till.payment()).captured == 500


async def test_a_clock_that_is_set_back_does_not_make_errands_wait(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        till.acquirer.away = True
        await process_payment(pay(500, "card"), till.deps)
        await till.errands(1)
        till.acquirer.away = False
        till.later(hours=-1)
        await till.errands()
        assert await kinds(till) == ["PaymentRedirected"]


async def test_an_acquirer_that_is_away_is_asked_again(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        till.acquirer.away = True
        await process_payment(pay(500, "card"), till.deps)
        for _ in range(5):
            await till.errands(1)
            till.later(seconds=11)
        till.acquirer.away = False
        await till.errands()
        assert await kinds(till) == ["PaymentRedirected"]


async def test_a_page_that_is_refused_fails_the_payment(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        await process_payment(pay(500, "card"), till.deps)
        payment = await till.payment()
        await till.acquirer.create_session(payment.id, usd(1), "https://elsewhere.example")
        await till.errands()
        assert await kinds(till) == ["PaymentFailed"]


async def test_an_undo_before_anything_was_taken_calls_the_page_off(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        await refund_payment(refund(), till.deps)
        event = (await told(till.deps))[-1]
        assert isinstance(event, PaymentRefunded)
        assert event.amount == usd(0)
        await till.errands()
        assert till.acquirer.charges[till.charge_id].status == "failed"
        await refund_payment(refund(), till.deps)
        await process_payment(pay(500, "card"), till.deps)
        assert await kinds(till) == ["PaymentRedirected", "PaymentRefunded", "PaymentRefunded", "PaymentFailed"]


async def test_an_undo_while_the_page_is_being_made_calls_it_off_when_it_is(tmp_path: Path) -> None:
    async with a_till(tmp_path, started=False) as till:
        await process_payment(pay(500, "card"), till.deps)
        await refund_payment(refund(), till.deps)
        await till.errands()
        assert till.acquirer.charges[till.charge_id].status == "failed"
        assert await kinds(till) == ["PaymentRefunded"]


async def test_money_that_comes_after_the_undo_goes_back_by_itself(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.settle(till.charge_id)
        await refund_payment(refund(), till.deps)
        await till.errands()
        charge, payment = till.acquirer.charges[till.charge_id], await till.payment()
        assert (charge.captured, charge.refunded) == (500, 500)
        assert (payment.status, payment.captured, payment.refunded, payment.refunding) == ("refunded", 500, 500, 0)
        events = [event for event in await told(till.deps) if isinstance(event, PaymentRefunded)]
        assert [(event.refund_id, event.amount.amount) for event in events] == [("undo", 0), ("late", 500)]


async def test_money_that_a_webhook_tells_of_after_the_undo_goes_back_once(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        await refund_payment(refund(), till.deps)
        await till.errands()
        till.acquirer.settle(till.charge_id)
        await till.webhook()
        await till.webhook()
        await till.errands()
        await till.webhook()
        assert till.acquirer.charges[till.charge_id].refunded == 500
        assert "PaymentProcessed" not in await kinds(till)


async def test_an_authorization_after_the_undo_is_called_off(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.away = True
        await refund_payment(refund(), till.deps)
        await till.errands()
        till.acquirer.away = False
        till.acquirer.authorize(till.charge_id)
        await till.webhook()
        till.later(seconds=10)
        await till.errands()
        assert till.acquirer.charges[till.charge_id].captured == 0
        assert till.acquirer.charges[till.charge_id].status == "failed"


async def test_a_capture_under_way_when_the_undo_comes_is_given_back(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.authorize(till.charge_id)
        await till.webhook()
        till.acquirer.lost = 1
        await till.errands(1)
        await refund_payment(refund(), till.deps)
        till.later(seconds=10)
        await till.errands()
        charge = till.acquirer.charges[till.charge_id]
        assert charge.captured == charge.refunded == 500


async def paid(till: Till) -> None:
    till.acquirer.authorize(till.charge_id)
    await till.webhook()
    await till.errands()


async def test_a_card_is_refunded_when_the_acquirer_has_done_it(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        await paid(till)
        till.acquirer.away = True
        await refund_payment(refund("return", 200), till.deps)
        await till.errands()
        await refund_payment(refund("return", 200), till.deps)
        assert "PaymentRefunded" not in await kinds(till)
        till.acquirer.away = False
        till.later(seconds=10)
        await till.errands()
        await refund_payment(refund("return", 200), till.deps)
        assert (await kinds(till))[2:] == ["PaymentRefunded", "PaymentRefunded"]
        assert (await till.payment()).status == "partially_refunded"
        assert till.acquirer.charges[till.charge_id].refunded == 200


async def test_refunds_under_way_count_as_given_back(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        await paid(till)
        await refund_payment(refund("one", 400), till.deps)
        await refund_payment(refund("two", 400), till.deps)
        await refund_payment(refund("three"), till.deps)
        await till.errands()
        events = [event for event in await told(till.deps) if isinstance(event, PaymentRefunded)]
        assert sorted(event.amount.amount for event in events) == [0, 100, 400]
        assert (await till.payment()).status == "refunded"


async def test_books_that_are_not_this_payments_are_refused(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        charge = till.acquirer.settle(till.charge_id)
        with pytest.raises(DomainError, match="does not fit"):
            await take_notice("sandbox", Notice("n", replace(charge, amount=usd(1))), till.deps)
        await take_notice("sandbox", Notice("m", replace(charge, reference="of-another-shop")), till.deps)
        assert await kinds(till) == ["PaymentRedirected"]


async def test_a_check_that_fails_is_tried_again(tmp_path: Path) -> None:
    async with a_till(tmp_path) as till:
        till.acquirer.away = True
        await ask_acquirer(await till.payment(), till.deps)
        till.acquirer.away = False
        till.acquirer.settle(till.charge_id)
        till.later(seconds=4)
        await till.errands()
        assert (await till.payment()).status == "captured"


async def test_a_page_that_is_asked_for_again_at_another_address_of_the_shop_is_the_same_page(tmp_path: Path) -> None:
    """A shop that was restored elsewhere repeats what it had asked, under the same key: with other words it would be refused, and the order with it."""
    acquirer = FakeAcquirer()
    async with payment_deps(tmp_path, 1000, acquirer) as deps:
        await process_payment(pay(500, "card"), deps)
        acquirer.lost = 1
        await Till(deps, acquirer).errands(1)
        elsewhere = Till(replace(deps, shop_url="https://elsewhere.example"), acquirer)
        elsewhere.later(seconds=1)
        await elsewhere.errands()
        (asked,) = acquirer.pages.values()
        assert asked == (usd(500), f"https://shop.example/orders/{ORDER}")
        assert [type(event) for event in await told(deps)] == [PaymentRedirected]


async def test_a_page_that_an_older_version_was_to_ask_for_is_asked_for(tmp_path: Path) -> None:
    acquirer = FakeAcquirer()
    async with payment_deps(tmp_path, 1000, acquirer) as deps:
        await process_payment(pay(500, "card"), deps)
        async with deps.transaction() as tx:
            await tx.execute("update errand set return_url = ''")
        await Till(deps, acquirer).errands()
        assert [url for _, url in acquirer.pages.values()] == [f"https://shop.example/orders/{ORDER}"]
