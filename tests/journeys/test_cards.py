"""Paying by card: on the acquirer's own page, with its webhooks, over the port; and what becomes of money that comes late, or twice, or never."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.shop import Shop, until
from tests.shop.cards import decide, page_of, pay
from tests.shop.people import Buyer, carry, deliver
from torg.acquirer.cards import Behaviour

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order", "no_faults")]

PATIENCE = 16  # minutes: a little more than paying by card may take


@pytest_asyncio.fixture(loop_scope="session")
async def no_faults(shop: Shop) -> AsyncIterator[None]:
    yield
    await shop.faults()


async def test_a_good_card_pays_and_leads_back_to_the_order(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    assert (await anna.see(order_id))["status"] == "reserved"
    back = await pay(page, Behaviour.SUCCESS)
    assert back == f"{shop.address}/orders/{order_id}"
    order = await anna.sees(order_id, "confirmed")
    assert order["payment"]["status"] == "captured"
    assert not order["payment"].get("redirect_url")
    await _books_agree(shop, anna, order_id, captured=order["total"]["amount"], refunded=0)


async def test_a_refused_card_rejects_the_order_and_says_why(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.REFUSAL)
    await anna.sees(order_id, "rejected")
    assert "refused" in (await anna.payment(order_id))["reason"]
    await _books_agree(shop, anna, order_id, captured=0, refunded=0)


async def test_the_bank_asks_and_its_customer_agrees(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    assert "<form" in await pay(page, Behaviour.CONFIRMATION)
    assert (await anna.see(order_id))["status"] == "reserved"
    await decide(page, decision="confirm")
    await anna.sees(order_id, "confirmed")


async def test_the_bank_asks_and_its_customer_says_no(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.CONFIRMATION)
    await decide(page, decision="deny")
    await anna.sees(order_id, "rejected")


async def test_going_back_without_paying_rejects_the_order(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await decide(page, decision="give_up")
    await anna.sees(order_id, "rejected")


async def test_a_bank_that_takes_its_time_pays_all_the_same(shop: Shop):
    await shop.faults(late_seconds=4)
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.LATE)
    assert (await anna.see(order_id))["status"] == "reserved"
    await anna.sees(order_id, "confirmed")


async def test_an_order_nobody_pays_for_ends_by_itself(shop: Shop):
    anna, product_id = await shop.buyer(0), shop.product()
    before = await shop.stock(product_id)
    order_id = await anna.order(product_id, method="card")
    page = await page_of(anna, order_id)
    assert await shop.stock(product_id) == before - 1
    shop.clock.advance(minutes=PATIENCE)
    anna.token = (await shop.sign_in(anna.email)).token
    await anna.sees(order_id, "rejected")
    await until(lambda: _is_free(shop, product_id, before), "the stock is free again")
    await until(lambda: _charge_is(shop, anna, order_id, "voided"), "the page is closed")
    assert "<form" not in await decide(page, decision="give_up"), "the page takes no decision any more"


async def test_money_that_comes_late_goes_back_by_itself(shop: Shop):
    await shop.faults(late_seconds=(PATIENCE + 4) * 60)
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.LATE)
    shop.clock.advance(minutes=PATIENCE)
    anna.token = (await shop.sign_in(anna.email)).token
    await anna.sees(order_id, "rejected")
    shop.clock.advance(minutes=5)
    anna.token = (await shop.sign_in(anna.email)).token
    total = (await anna.see(order_id))["total"]["amount"]
    await _books_agree(shop, anna, order_id, captured=total, refunded=total)
    assert (await anna.see(order_id))["status"] == "rejected"


async def test_a_webhook_that_never_comes_is_made_up_for_by_asking(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.SILENT)
    payment = await anna.payment(order_id)
    assert (await anna.post(f"/payments/{payment['id']}/check")).status == 202
    await anna.sees(order_id, "confirmed")


async def test_webhooks_that_come_twice_or_before_the_reply_pay_once(shop: Shop):
    await shop.faults(webhooks_twice=True, webhook_before_reply=True)
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.SUCCESS)
    total = (await anna.sees(order_id, "confirmed"))["total"]["amount"]
    await _books_agree(shop, anna, order_id, captured=total, refunded=0)


async def test_a_reply_that_is_lost_after_the_charge_pays_once(shop: Shop):
    await shop.faults(lost_replies=2)
    anna, order_id, page = await _at_the_page(shop)
    await shop.faults(lost_replies=1)
    await pay(page, Behaviour.SUCCESS)
    total = (await anna.sees(order_id, "confirmed"))["total"]["amount"]
    await _books_agree(shop, anna, order_id, captured=total, refunded=0)


async def test_a_webhook_without_a_true_signature_is_not_believed(shop: Shop):
    anna, order_id, _ = await _at_the_page(shop)
    told = {"id": "x", "type": "charge.captured", "charge": {}, "at": "2026-11-21T00:00:00Z"}
    for signature in ("", "t=1,v1=00", "nonsense"):
        reply = await shop.guest().post("/payments/webhooks/sandbox", told, acquirer_signature=signature)
        assert reply.status in (400, 401), signature
    assert (await shop.guest().post("/payments/webhooks/nobody", told)).status == 404
    assert (await anna.see(order_id))["status"] == "reserved"
    await anna.cancel(order_id)
    await anna.sees(order_id, "cancelled")


async def test_cancelling_while_the_page_is_open_closes_it(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    assert (await anna.cancel(order_id)).status == 202
    await anna.sees(order_id, "cancelled")
    await until(lambda: _charge_is(shop, anna, order_id, "voided"), "the charge is called off")
    assert "<form" not in await pay(page, Behaviour.SUCCESS)
    assert (await anna.payment(order_id))["status"] == "failed"


async def test_cancelling_a_paid_order_gives_the_money_back_to_the_card(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await pay(page, Behaviour.SUCCESS)
    total = (await anna.sees(order_id, "confirmed"))["total"]["amount"]
    await anna.cancel(order_id)
    await anna.sees(order_id, "cancelled")
    await _books_agree(shop, anna, order_id, captured=total, refunded=total)
    assert not (await anna.get("/wallet")).json["entries"], "card money does not go to the wallet"


async def test_a_returned_part_is_refunded_to_the_card(shop: Shop):
    courier = await shop.staff("courier")
    anna, order_id, page = await _at_the_page(shop, quantity=2)
    await pay(page, Behaviour.SUCCESS)
    order = await anna.sees(order_id, "confirmed")
    await deliver(courier, anna, order_id)
    line = order["lines"][0]
    reply = await anna.once(f"/orders/{order_id}/returns", {"lines": [{"product_id": line["product_id"], "quantity": 1}], "reason": "one too many"})
    assert reply.status == 202

    async def booked() -> Any:
        found = (await anna.get("/deliveries", order_id=order_id)).json["items"]
        return next((delivery["id"] for delivery in found if delivery["kind"] == "return"), None)

    await carry(courier, await until(booked, "the return is booked"), "returned")
    await _books_agree(shop, anna, order_id, captured=order["total"]["amount"], refunded=line["unit_price"]["amount"])


async def test_a_card_number_with_a_typo_is_named_on_the_page(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    text = await _typed(page, "4242 4242 4242 4241")
    assert "4242 4242 4242 4241" in text
    assert (await anna.see(order_id))["status"] == "reserved"
    await decide(page, decision="give_up")
    await anna.sees(order_id, "rejected")


async def _typed(page: str, number: str) -> str:
    async with aiohttp.ClientSession() as browser, browser.post(page, data={"number": number, "expiry": "12/30", "code": "123"}) as reply:
        assert reply.status == 422
        return await reply.text()


async def _at_the_page(shop: Shop, quantity: int = 1) -> tuple[Buyer, str, str]:
    """A buyer without a wallet, their order, and the page on which they are to pay for it."""
    anna = await shop.buyer(0)
    order_id = await anna.order(shop.product(), quantity, "card")
    return anna, order_id, await page_of(anna, order_id)


async def _charge(shop: Shop, buyer: Buyer, order_id: str) -> Any:
    return (await shop.acquirers_books())[(await buyer.payment(order_id))["id"]]


async def _charge_is(shop: Shop, buyer: Buyer, order_id: str, status: str) -> bool:
    return bool((await _charge(shop, buyer, order_id))["status"] == status)


async def _charge_has(shop: Shop, buyer: Buyer, order_id: str, captured: int, refunded: int) -> bool:
    charge = await _charge(shop, buyer, order_id)
    return bool((charge["captured"]["amount"], charge["refunded"]["amount"]) == (captured, refunded))


async def _books_agree(shop: Shop, buyer: Buyer, order_id: str, captured: int, refunded: int) -> None:
    """Ours and the acquirer's tell the same, and of one charge only."""
    await until(lambda: _charge_has(shop, buyer, order_id, captured, refunded), f"the acquirer captured {captured} and refunded {refunded}", 5)
    await until(lambda: _refunded(buyer, order_id, refunded), "our books tell of the refund", 5)


async def _refunded(buyer: Buyer, order_id: str, amount: int) -> bool:
    return bool((await buyer.payment(order_id))["refunded"]["amount"] == amount)


async def _is_free(shop: Shop, product_id: str, available: int) -> bool:
    return await shop.stock(product_id) == available
