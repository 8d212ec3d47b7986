"""Orders under attack: double clicks, two tabs, the last item, money and codes spent twice, and changes in the middle of a checkout."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import pytest

from tests.shop import Buyer, Shop, fresh, until
from tests.shop.opening import SLOWEST
from tests.shop.people import deliver
from torg.kit.testing.http import Answer

pytestmark = [pytest.mark.race, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

ENDED = ("confirmed", "rejected")
T = TypeVar("T")


async def test_a_hundred_identical_clicks_are_one_order(shop: Shop):
    anna, key = await shop.buyer(), fresh()
    await anna.put_in_cart(shop.product())
    replies = await asyncio.gather(*(anna.check_out(key=key) for _ in range(100)))
    assert {reply.status for reply in replies} <= {202, 409}
    assert {reply.json["code"] for reply in replies if reply.status == 409} <= {"idempotency.in_progress"}
    assert len({reply.json["id"] for reply in replies if reply.status == 202}) == 1
    await _has_one_order(shop, anna)


async def test_two_tabs_order_a_cart_once(shop: Shop):
    for _ in range(5):
        anna = await shop.buyer()
        await anna.put_in_cart(shop.product())
        replies = await asyncio.gather(*(anna.check_out() for _ in range(8)))
        assert Counter(reply.status for reply in replies) == {202: 1, 409: 7}, [reply for reply in replies if reply.status != 409]
        await _has_one_order(shop, anna)


async def test_the_last_five_are_sold_five_times_to_a_hundred_carts(shop: Shop):
    product_id = shop.product()
    await shop.set_stock(product_id, 5)
    buyers = [await shop.buyer() for _ in range(100)]
    await asyncio.gather(*(buyer.put_in_cart(product_id) for buyer in buyers))
    replies = await asyncio.gather(*(buyer.check_out() for buyer in buyers))
    ends = Counter([(await _end(buyer, reply))["status"] for buyer, reply in zip(buyers, replies, strict=True) if reply.status == 202])
    assert ends["confirmed"] == 5, ends
    assert {reply.json["code"] for reply in replies if reply.status != 202} <= {"cart.unavailable", "service.overloaded"}
    assert await shop.stock(product_id) == 0
    assert sum([await buyer.balance() < 1_000_000 for buyer in buyers]) == 5


async def test_in_a_flash_sale_all_is_sold_once_and_others_are_served(shop: Shop):
    prize, product_id, anna = shop.product(), shop.product(), await shop.buyer()
    await shop.set_stock(prize, 20)
    racers = [await shop.buyer() for _ in range(60)]
    await asyncio.gather(*(racer.put_in_cart(prize) for racer in racers))
    racing = asyncio.gather(*(_told(partial(racer.check_out, key=fresh())) for racer in racers))
    served = [await _told(partial(anna.get, f"/products/{product_id}")), await _told(partial(anna.put, f"/cart/items/{product_id}", {"quantity": 1}))]
    served.append(await _told(partial(anna.check_out, key=fresh())))
    ends = Counter([(await _end(racer, reply))["status"] for racer, reply in zip(racers, await racing, strict=True) if reply.status == 202])
    assert [reply.status for reply in served] == [200, 200, 202]
    assert ends["confirmed"] == 20, ends
    assert await shop.stock(prize) == 0


async def _told(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Yes or no; whoever is asked to come back in a moment does."""

    async def told() -> Answer | None:
        reply = await ask()
        return None if reply.status == 503 else reply

    return await until(told, "yes or no")


async def test_several_units_of_several_things_are_never_sold_in_part(shop: Shop):
    one, other = shop.product(), shop.product()
    await shop.set_stock(one, 9)
    await shop.set_stock(other, 6)
    buyers = [await shop.buyer() for _ in range(12)]
    for buyer in buyers:
        await buyer.put_in_cart(one, 2)
        await buyer.put_in_cart(other, 1)
    replies = await asyncio.gather(*(buyer.check_out() for buyer in buyers))
    ends = Counter([(await _end(buyer, reply))["status"] for buyer, reply in zip(buyers, replies, strict=True) if reply.status == 202])
    assert ends["confirmed"] == 4, ends
    assert (await shop.stock(one), await shop.stock(other)) == (1, 2)


async def test_a_promo_code_for_three_is_used_three_times(shop: Shop):
    admin, code, product_id = await shop.staff("admin"), f"THREE-{fresh()[:6]}", shop.product()
    await admin.once("/promo-codes", {"code": code, "kind": "percent", "percent": 20, "uses_total": 3})
    buyers = [await shop.buyer() for _ in range(20)]
    for buyer in buyers:
        await buyer.put_in_cart(product_id)
        assert (await buyer.post("/cart/promo-code", {"code": code})).status == 200
    replies = await asyncio.gather(*(buyer.check_out() for buyer in buyers))
    discounted = [reply for reply in replies if reply.status == 202 and reply.json["discount"]["amount"]]
    assert len(discounted) == 3, Counter((reply.status, reply.json.get("code")) for reply in replies)
    assert {reply.json["code"] for reply in replies if reply.status == 409} <= {"promo.exhausted"}
    await shop.settle()
    listed = {promo["code"]: promo for promo in (await admin.get("/promo-codes", limit=100)).json["items"]}
    assert listed[code.upper()]["used"] == 3


async def test_the_same_money_is_not_spent_twice(shop: Shop):
    product_id = shop.product()
    price = (await shop.guest().get(f"/products/{product_id}")).json["price"]["amount"]
    anna = await shop.buyer(0)
    await anna.put_in_cart(product_id)
    (courier,) = [quote for quote in (await anna.get("/delivery/quotes", city="Moscow")).json if quote["method"] == "courier"]
    total = price + courier["price"]["amount"]
    await anna.once("/wallet/top-ups", {"amount": {"amount": 3 * total + total // 2, "currency": "USD"}})
    orders = []
    for _ in range(8):  # each is placed before the one before it is paid
        orders.append(await anna.order(product_id))
    ends = Counter([(await anna.sees(order_id, *ENDED))["status"] for order_id in orders])
    assert ends == {"confirmed": 3, "rejected": 5}
    assert await anna.balance() == total // 2


async def test_a_retry_with_a_changed_body_gets_no_second_order(shop: Shop):
    for _ in range(5):
        anna, key = await shop.buyer(), fresh()
        await anna.put_in_cart(shop.product())
        replies = await asyncio.gather(*(anna.check_out(method, key=key) for method in ("balance", "cash", "balance", "cash")))
        assert {reply.status for reply in replies} <= {202, 409, 422}
        assert len({reply.json["id"] for reply in replies if reply.status == 202}) == 1
        assert (await anna.check_out("card", key=key)).status == 422
        await _has_one_order(shop, anna)


async def test_a_cart_that_changes_during_checkout_is_ordered_as_it_was_at_one_moment(shop: Shop):
    seen = Counter[tuple[int, int]]()
    for step in range(16):
        anna, product_id = await shop.buyer(), shop.product()
        await anna.put_in_cart(product_id, 2)
        reply, _ = await asyncio.gather(anna.check_out(), after(step * 2, anna.put_in_cart(product_id, 5)))
        assert reply.status == 202, reply
        order = await anna.sees(reply.json["id"], "confirmed")
        await shop.settle()
        left = (await anna.get("/cart")).json["items"]
        seen[order["lines"][0]["quantity"], left[0]["quantity"] if left else 0] += 1
        assert (await anna.payment(order["id"]))["amount"] == order["total"]
    assert set(seen) <= {(2, 3), (2, 5), (5, 0)}, seen
    assert len(seen) > 1, "the two came in between each other"


async def test_a_price_that_changes_during_checkout_is_asked_about_or_not_charged(shop: Shop):
    admin, outcomes = await shop.staff("admin"), Counter[int]()
    for step in range(12):
        anna, product_id = await shop.buyer(), shop.product()
        cart = await anna.put_in_cart(product_id, 3)
        (courier,) = [quote for quote in (await anna.get("/delivery/quotes", city="Moscow")).json if quote["method"] == "courier"]
        expected = {"amount": cart["total"]["amount"] + courier["price"]["amount"], "currency": "USD"}
        dearer = {"price": {"amount": cart["items"][0]["unit_price"]["amount"] + 1000, "currency": "USD"}}
        reply, _ = await asyncio.gather(anna.check_out(expected_total=expected), after(step * 4, admin.patch(f"/products/{product_id}", dearer)))
        outcomes[reply.status] += 1
        if reply.status == 202:
            await anna.sees(reply.json["id"], "confirmed")
            assert (await anna.payment(reply.json["id"]))["amount"] == expected
        else:
            assert reply.json["code"] == "order.total_changed"
            assert await anna.balance() == 1_000_000
    assert set(outcomes) == {202, 409}, outcomes


async def test_cancelling_again_and_again_refunds_once(shop: Shop):
    anna, product_id = await shop.buyer(500_000), shop.product()
    before = await shop.stock(product_id)
    order_id = await anna.bought(product_id, 2)
    replies = await asyncio.gather(*(anna.cancel(order_id) for _ in range(10)))
    assert Counter(reply.status for reply in replies) == {202: 1, 409: 9}
    await anna.sees(order_id, "cancelled")
    await shop.settle()
    assert (await anna.balance(), await shop.stock(product_id)) == (500_000, before)
    assert [entry["kind"] for entry in (await anna.get("/wallet")).json["entries"]] == ["refund", "payment", "top_up"]


async def test_cancelling_at_any_moment_of_the_checkout_undoes_all_of_it(shop: Shop):
    async def ordered_and_cancelled(pause: float) -> None:
        anna, product_id = await shop.buyer(500_000), shop.product()
        before = await shop.stock(product_id)
        order_id = await anna.order(product_id)
        await asyncio.sleep(pause)
        assert (await anna.cancel(order_id)).status == 202
        await anna.sees(order_id, "cancelled")
        await shop.settle()
        assert (await anna.balance(), await shop.stock(product_id)) == (500_000, before)

    await asyncio.gather(*(ordered_and_cancelled(step / 500) for step in range(10)))


async def test_returning_the_same_thing_twice_refunds_it_once(shop: Shop):
    anna, courier, product_id = await shop.buyer(500_000), await shop.staff("courier"), shop.product()
    order_id = await anna.bought(product_id, 2)
    order = await anna.see(order_id)
    await deliver(courier, anna, order_id)
    body = {"lines": [{"product_id": product_id, "quantity": 2}], "reason": "both"}
    replies = await asyncio.gather(*(anna.once(f"/orders/{order_id}/returns", body) for _ in range(6)))
    assert Counter(reply.status for reply in replies)[202] == 1
    assert {reply.status for reply in replies} <= {202, 409, 422}

    async def booked() -> Any:
        found = (await anna.get("/deliveries", order_id=order_id)).json["items"]
        return [delivery["id"] for delivery in found if delivery["kind"] == "return"]

    (parcel,) = await until(booked, "the return is booked")
    told = await asyncio.gather(*(courier.once(f"/deliveries/{parcel}/status", {"status": "returned"}) for _ in range(4)))
    assert {reply.status for reply in told} <= {200, 409}
    await anna.sees(order_id, "returned")
    assert await anna.balance() == 500_000 - order["delivery_price"]["amount"]


async def test_a_parcel_is_either_called_off_or_handed_over(shop: Shop):
    courier, seen = await shop.staff("courier"), Counter[str]()
    for step in range(12):
        anna = await shop.buyer(500_000)
        order_id = await anna.bought(shop.product())
        delivery_id = (await anna.delivery(order_id))["id"]
        shipping = courier.once(f"/deliveries/{delivery_id}/status", {"status": "shipped"})
        _, told = await asyncio.gather(anna.cancel(order_id), after(step % 4, shipping))
        end = (await anna.sees(order_id, "cancelled", "shipped"))["status"]
        await shop.settle()
        parcel, balance = (await anna.delivery(order_id))["status"], await anna.balance()
        assert (end, parcel, balance == 500_000, told.status) in {("cancelled", "cancelled", True, 409), ("shipped", "shipped", False, 200)}
        seen[end] += 1
    assert sum(seen.values()) == 12


async def after(step: int, racing: Awaitable[T]) -> T:
    """Lets the other one have a start, a little longer each time, so that the two meet in different places."""
    await asyncio.sleep(step * SLOWEST / 2)
    return await racing


async def _end(buyer: Buyer, reply: Answer) -> Any:
    return await buyer.sees(reply.json["id"], *ENDED)


async def _has_one_order(shop: Shop, buyer: Buyer) -> None:
    (order,) = (await buyer.get("/orders")).json["items"]
    await buyer.sees(order["id"], "confirmed")
    await shop.settle()
    assert len((await buyer.get("/payments")).json["items"]) == 1
    assert len((await buyer.get("/deliveries")).json["items"]) == 1
    assert not (await buyer.get("/cart")).json["items"]
