"""Ordering: the whole way of an order, what can come in between, and what everybody can look up afterwards."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.shop import COURIER, Shop, fresh, until
from tests.shop.people import Buyer, carry, deliver
from torg.kit.values import moment

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

STEPS = ["CreateOrder", "ReserveItems", "ProcessPayment", "ScheduleShipping", "ConfirmOrder"]
SERVICES = ["order", "inventory", "payment", "shipping", "order"]
UNDONE_BY = ["CancelOrder", "ReleaseItems", "RefundPayment", "CancelShipping", None]


async def test_an_order_by_balance_goes_all_the_way(shop: Shop):
    anna, product_id = await shop.buyer(1_000_000), shop.product()
    before = await shop.stock(product_id)
    cart = await anna.put_in_cart(product_id, 2)
    reply = await anna.check_out()
    assert reply.status == 202
    placed = reply.json
    assert reply.headers["location"] == f"/api/v1/orders/{placed['id']}"
    assert placed["bucket_id"] == cart["id"]
    order = await anna.sees(placed["id"], "confirmed")
    assert [(line["product_id"], line["quantity"]) for line in order["lines"]] == [(product_id, 2)]
    assert order["total"]["amount"] == order["items_total"]["amount"] + order["delivery_price"]["amount"] - order["discount"]["amount"]
    assert (order["user_id"], order["cancellable"]) == (anna.user_id, True)
    assert await shop.stock(product_id) == before - 2
    assert await anna.balance() == 1_000_000 - order["total"]["amount"]
    payment = await anna.payment(order["id"])
    assert (payment["status"], payment["amount"], payment["method"]) == ("captured", order["total"], "balance")
    delivery = await anna.delivery(order["id"])
    assert (delivery["status"], delivery["destination"]["city"]) == ("scheduled", "Moscow")
    assert delivery["source"] in ("Moscow", "Yekaterinburg")
    assert not (await anna.get("/cart")).json["items"]


async def test_its_saga_can_be_read_step_by_step(shop: Shop):
    anna = await shop.buyer()
    order_id = await anna.bought(shop.product())
    saga = (await anna.get(f"/orders/{order_id}/saga")).json
    assert (saga["order_id"], saga["saga_type"], saga["status"], saga["compensation_required"]) == (order_id, "checkout", "completed", False)
    assert [step["action"] for step in saga["steps"]] == STEPS
    assert [step["service"] for step in saga["steps"]] == SERVICES
    assert [step["compensation"] for step in saga["steps"]] == UNDONE_BY
    assert {step["status"] for step in saga["steps"]} == {"completed"}
    assert all(step["started_at"] <= step["finished_at"] for step in saga["steps"])


async def test_its_history_is_the_log(shop: Shop):
    anna = await shop.buyer()
    order_id = await anna.bought(shop.product())
    history = (await anna.get(f"/orders/{order_id}/events")).json["items"]
    assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
    told = [entry["name"] for entry in history if not entry["name"].startswith("order.payment")]
    assert told[:4] == ["order.placed", "order.reserved", "order.paid", "order.confirmed"]


async def test_cash_is_paid_at_the_door(shop: Shop):
    anna, courier, product_id = await shop.buyer(0), await shop.staff("courier"), shop.product()
    order_id = await anna.bought(product_id, method="cash")
    assert (await anna.see(order_id))["payment"]["status"] in ("pending", "authorized")
    await deliver(courier, anna, order_id)
    await until(lambda: _paid(anna, order_id), "the cash is in the books")
    payment = await anna.payment(order_id)
    assert (payment["status"], payment["method"]) == ("captured", "cash")


async def test_a_parcel_goes_stage_by_stage_and_never_back(shop: Shop):
    anna, courier = await shop.buyer(), await shop.staff("courier")
    order_id = await anna.bought(shop.product())
    delivery_id = (await anna.delivery(order_id))["id"]
    assert (await courier.once(f"/deliveries/{delivery_id}/status", {"status": "delivered"})).status == 409
    await carry(courier, delivery_id, "shipped")
    await anna.sees(order_id, "shipped")
    await carry(courier, delivery_id, "shipped", "in_transit", "delivered")
    await anna.sees(order_id, "delivered")
    assert (await courier.once(f"/deliveries/{delivery_id}/status", {"status": "in_transit"})).status == 409
    tracked = [entry["status"] for entry in (await anna.get(f"/deliveries/{delivery_id}/events")).json["items"]]
    assert tracked == ["scheduled", "shipped", "in_transit", "delivered"]


async def test_too_little_money_rejects_the_order_and_frees_the_stock(shop: Shop):
    poor, product_id = await shop.buyer(balance=1), shop.product()
    before = await shop.stock(product_id)
    order_id = await poor.order(product_id, 2)
    order = await poor.sees(order_id, "rejected")
    assert order["payment"]["status"] == "failed"
    saga = (await poor.get(f"/orders/{order_id}/saga")).json
    steps = {step["action"]: step for step in saga["steps"]}
    assert (saga["status"], saga["compensation_required"]) == ("compensated", True)
    assert steps["ProcessPayment"]["status"] == "failed"
    assert steps["ProcessPayment"]["error"]
    assert steps["ReserveItems"]["status"] == steps["CreateOrder"]["status"] == "compensated"
    assert (await shop.stock(product_id), await poor.balance()) == (before, 1)


async def test_no_more_is_sold_than_there_is(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    await shop.set_stock(product_id, 3)
    await anna.bought(product_id, 2)
    await anna.put_in_cart(product_id, 2)
    assert (await anna.check_out()).json["code"] == "cart.unavailable"
    assert await shop.stock(product_id) == 1


async def test_an_empty_cart_makes_no_order(shop: Shop):
    anna = await shop.buyer()
    refused = await anna.check_out()
    assert (refused.status, refused.json["code"]) == (409, "cart.empty")


async def test_every_way_of_delivery_can_be_chosen_at_its_quoted_price(shop: Shop):
    anna = await shop.buyer()
    quotes = (await anna.get("/delivery/quotes", city="Moscow")).json
    assert {quote["method"] for quote in quotes} == {"courier", "pickup", "post"}
    for quote in quotes:
        await anna.put_in_cart(shop.product())
        point = {"pickup_point_id": quote["pickup_points"][0]["id"]} if quote.get("pickup_points") else {"address": COURIER["address"]}
        reply = await anna.post("/orders", {"delivery": {"method": quote["method"], **point}, "payment": {"method": "balance"}}, key=fresh())
        assert reply.status == 202, reply
        await anna.sees(reply.json["id"], "confirmed")


async def test_the_price_a_buyer_was_shown_is_the_price_they_pay(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    cart = await anna.put_in_cart(product_id)
    wrong = {"amount": cart["total"]["amount"] - 1, "currency": "USD"}
    refused = await anna.check_out(expected_total=wrong)
    assert (refused.status, refused.json["code"]) == (409, "order.total_changed")
    (courier,) = [quote for quote in (await anna.get("/delivery/quotes", city="Moscow")).json if quote["method"] == "courier"]
    right = {"amount": cart["total"]["amount"] + courier["price"]["amount"], "currency": "USD"}
    assert (await anna.check_out(expected_total=right)).json["total"] == right


async def test_orders_of_a_period_are_just_those(shop: Shop):
    anna = await shop.buyer()
    orders = [await anna.order(shop.product()) for _ in range(3)]
    dates = [(await anna.see(order_id))["created_date"] for order_id in orders]
    day = moment(dates[0]).date()
    ids: Any = lambda **query: _ids(anna, query)  # noqa: E731
    assert await ids(**{"from": str(day), "to": str(day + timedelta(days=2))}) == orders[::-1]
    assert await ids(**{"from": str(day - timedelta(days=3)), "to": str(day - timedelta(days=1))}) == []
    assert await ids(**{"from": dates[1]}) == [orders[2], orders[1]], "from is inclusive"
    assert await ids(to=dates[1]) == [orders[0]], "to is exclusive"
    reversed_ = await anna.get("/orders", **{"from": "2026-02-02", "to": "2026-02-01"})
    assert (reversed_.status, reversed_.json["errors"][0]["field"]) == (422, "from")
    assert (await anna.get("/orders", **{"from": "yesterday"})).status == 422


async def test_own_orders_come_page_by_page_and_by_status(shop: Shop):
    anna = await shop.buyer(balance=100_000)
    orders = [await anna.order(shop.product()) for _ in range(5)]
    for order_id in orders:
        await anna.sees(order_id, "confirmed")
    await anna.cancel(orders[2])
    await anna.sees(orders[2], "cancelled")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await anna.get("/orders", limit=2, cursor=cursor)).json
        seen += [order["id"] for order in page["items"]]
        cursor = page["next_cursor"]
    assert seen == orders[::-1]
    assert await _ids(anna, {"status": "cancelled"}) == [orders[2]]


async def test_the_same_request_again_gets_the_very_same_answer(shop: Shop):
    anna, key = await shop.buyer(), fresh()
    await anna.put_in_cart(shop.product())
    first = await anna.check_out(key=key)
    again = await anna.check_out(key=key)
    assert (again.status, again.body, again.headers["location"]) == (first.status, first.body, first.headers["location"])
    assert again.headers["idempotent-replayed"] == "true"
    assert len((await anna.get("/orders")).json["items"]) == 1


async def test_a_key_that_comes_with_another_body_or_not_at_all_is_refused(shop: Shop):
    anna, key = await shop.buyer(), fresh()
    await anna.put_in_cart(shop.product())
    assert (await anna.check_out(key=key)).status == 202
    assert (await anna.check_out("card", key=key)).status == 422
    await anna.put_in_cart(shop.product())
    keyless = await anna.post("/orders", {"delivery": COURIER, "payment": {"method": "balance"}})
    assert (keyless.status, keyless.json["code"]) == (400, "idempotency.key_required")
    order_id = (await anna.get("/orders")).json["items"][0]["id"]
    for path, body in (
        (f"/orders/{order_id}/cancel", {"reason": "x"}),
        (f"/orders/{order_id}/returns", {"lines": [{"product_id": "1", "quantity": 1}], "reason": "x"}),
        ("/wallet/top-ups", {"amount": {"amount": 1, "currency": "USD"}}),
    ):
        assert (await anna.post(path, body)).status == 400, path


async def test_two_people_may_use_the_same_key(shop: Shop):
    anna, boris, key = await shop.buyer(), await shop.buyer(), fresh()
    for person in (anna, boris):
        await person.put_in_cart(shop.product())
    one, other = await anna.check_out(key=key), await boris.check_out(key=key)
    assert (one.status, other.status) == (202, 202)
    assert one.json["user_id"] != other.json["user_id"]


async def test_a_top_up_is_credited_once_and_shows_in_the_wallet(shop: Shop):
    anna, key = await shop.buyer(0), fresh()
    top_up = {"amount": {"amount": 2_500, "currency": "USD"}}
    await asyncio.gather(*(anna.post("/wallet/top-ups", top_up, key=key) for _ in range(5)))
    wallet = (await anna.get("/wallet")).json
    assert (wallet["balance"]["amount"], wallet["currency"], len(wallet["entries"])) == (2_500, "USD", 1)
    assert (await anna.once("/wallet/top-ups", {"amount": {"amount": -5, "currency": "USD"}})).status == 422
    assert (await anna.once("/wallet/top-ups", {"amount": {"amount": 5, "currency": "EUR"}})).status == 422


async def _paid(buyer: Buyer, order_id: str) -> bool:
    return bool((await buyer.see(order_id))["payment"]["status"] == "captured")


async def _ids(buyer: Buyer, query: dict[str, Any]) -> list[str]:
    return [order["id"] for order in (await buyer.get("/orders", **query)).json["items"]]
