"""Card money under attack: webhooks that race the browser's return, payments that race expiry and cancellation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from tests.shop import Buyer, Shop, fresh, until
from tests.shop.cards import page_of, pay
from torg.acquirer.cards import Behaviour

pytestmark = [pytest.mark.race, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order", "no_faults")]


@pytest_asyncio.fixture(loop_scope="session")
async def no_faults(shop: Shop) -> AsyncIterator[None]:
    yield
    await shop.faults()


async def test_webhooks_race_the_browsers_return(shop: Shop):
    await shop.faults(webhooks_twice=True, webhook_before_reply=True)
    anna, order_id, page = await _at_the_page(shop)
    payment_id = (await anna.payment(order_id))["id"]

    async def comes_back() -> None:
        for _ in range(5):
            assert (await anna.post(f"/payments/{payment_id}/check")).status == 202
            await anna.see(order_id)

    await asyncio.gather(pay(page, Behaviour.SUCCESS), *(comes_back() for _ in range(5)))
    order = await anna.sees(order_id, "confirmed")
    await shop.settle()
    assert await _booked(shop, payment_id) == ("captured", order["total"]["amount"], 0)
    names = [entry["name"] for entry in (await anna.get(f"/orders/{order_id}/events")).json["items"]]
    assert names.count("order.paid") == 1


async def test_paying_twice_in_two_windows_charges_once(shop: Shop):
    anna, order_id, page = await _at_the_page(shop)
    await asyncio.gather(*(pay(page, Behaviour.SUCCESS) for _ in range(6)))
    order = await anna.sees(order_id, "confirmed")
    payment_id = (await anna.payment(order_id))["id"]
    assert await _booked(shop, payment_id) == ("captured", order["total"]["amount"], 0)


async def test_paying_races_cancelling(shop: Shop):
    for _ in range(6):
        anna, order_id, page = await _at_the_page(shop)
        payment_id = (await anna.payment(order_id))["id"]
        await asyncio.gather(pay(page, Behaviour.SUCCESS), anna.cancel(order_id))
        await anna.sees(order_id, "cancelled")
        await until(partial(_nothing_kept, shop, payment_id), "the acquirer keeps nothing of it")


async def test_paying_races_the_end_of_its_time_and_of_the_reservation(shop: Shop):
    product_id, seen = shop.product(), Counter[str]()
    await shop.set_stock(product_id, 8)
    waiting = []
    for _ in range(8):
        anna = await shop.buyer(0)
        order_id = await anna.order(product_id, method="card")
        waiting.append((anna, order_id, await page_of(anna, order_id), (await anna.payment(order_id))["id"]))
    assert await shop.stock(product_id) == 0

    async def pays(page: str, pause: float) -> None:
        await asyncio.sleep(pause)
        await pay(page, Behaviour.SUCCESS)

    async def time_runs_out() -> None:
        for _ in range(11):  # from just before the end of paying to after the end of the reservation
            await asyncio.sleep(0.1)
            shop.clock.advance(seconds=60)

    shop.clock.advance(minutes=11)
    await asyncio.gather(time_runs_out(), *(pays(page, number * 0.14) for number, (_, _, page, _) in enumerate(waiting)))
    for anna, order_id, _, payment_id in waiting:
        anna.token = (await shop.sign_in(anna.email)).token
        order = await anna.sees(order_id, "confirmed", "rejected", "cancelled")
        seen[order["status"]] += 1
        if order["status"] == "confirmed":
            assert await _booked(shop, payment_id) == ("captured", order["total"]["amount"], 0)
        else:
            await until(partial(_nothing_kept, shop, payment_id), "the acquirer keeps nothing of it")
    assert await shop.stock(product_id) == 8 - seen["confirmed"]


async def test_a_top_up_that_is_sent_over_and_over_comes_once(shop: Shop):
    anna, key = await shop.buyer(0), fresh()
    body = {"amount": {"amount": 700, "currency": "USD"}}
    replies = await asyncio.gather(*(anna.post("/wallet/top-ups", body, key=key) for _ in range(50)))
    assert {reply.status for reply in replies} <= {201, 409}
    assert await anna.balance() == 700


async def _at_the_page(shop: Shop) -> tuple[Buyer, str, str]:
    anna = await shop.buyer(0)
    order_id = await anna.order(shop.product(), method="card")
    return anna, order_id, await page_of(anna, order_id)


async def _charge(shop: Shop, payment_id: str) -> Any:
    return (await shop.acquirers_books())[payment_id]


async def _booked(shop: Shop, payment_id: str) -> tuple[str, int, int]:
    charge = await _charge(shop, payment_id)
    return charge["status"], charge["captured"]["amount"], charge["refunded"]["amount"]


async def _nothing_kept(shop: Shop, payment_id: str) -> bool:
    """Called off, failed, or paid back."""
    charge = await _charge(shop, payment_id)
    return charge["status"] in ("voided", "failed") or (charge["status"] == "captured" and charge["captured"] == charge["refunded"])
