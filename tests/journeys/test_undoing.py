"""Changing one's mind: cancelling at each stage, and returning what has come, with money, stock and reports following."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shop import Shop, until
from tests.shop.people import Buyer, Visitor, carry, deliver

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_cancelling_right_after_ordering_leaves_nothing_behind(shop: Shop):
    anna, product_id = await shop.buyer(500_000), shop.product()
    before = await shop.stock(product_id)
    order_id = await anna.order(product_id, 3)
    reply = await anna.cancel(order_id)
    assert reply.status == 202, "an order under way can be cancelled"
    await anna.sees(order_id, "cancelled")
    await shop.settle()
    assert (await anna.balance(), await shop.stock(product_id)) == (500_000, before)


async def test_cancelling_a_confirmed_order_gives_back_money_and_stock(shop: Shop):
    anna, product_id = await shop.buyer(500_000), shop.product()
    before = await shop.stock(product_id)
    order_id = await anna.bought(product_id, 3)
    reply = await anna.cancel(order_id)
    assert (reply.status, reply.json["status"]) == (202, "cancelling")
    assert not (await anna.sees(order_id, "cancelled"))["cancellable"]
    assert (await anna.balance(), await shop.stock(product_id)) == (500_000, before)
    assert (await anna.delivery(order_id))["status"] == "cancelled"
    payment = await anna.payment(order_id)
    assert (payment["status"], payment["refunded"]) == ("refunded", payment["amount"])
    kinds = [entry["kind"] for entry in (await anna.get("/wallet")).json["entries"]]
    assert kinds == ["refund", "payment", "top_up"]
    again = await anna.cancel(order_id)
    assert (again.status, again.json["code"]) == (409, "order.not_cancellable")


async def test_cancelling_an_unpaid_cash_order_moves_no_money(shop: Shop):
    anna = await shop.buyer(0)
    order_id = await anna.bought(shop.product(), method="cash")
    assert (await anna.cancel(order_id)).status == 202
    await anna.sees(order_id, "cancelled")
    assert (await anna.payment(order_id))["status"] == "failed"
    assert not (await anna.get("/wallet")).json["entries"]


async def test_what_was_handed_to_the_carrier_can_be_cancelled_no_more(shop: Shop):
    anna, courier = await shop.buyer(), await shop.staff("courier")
    order_id = await anna.bought(shop.product())
    delivery_id = (await anna.delivery(order_id))["id"]
    for stage, status in (("shipped", "shipped"), ("in_transit", "shipped"), ("delivered", "delivered")):
        await carry(courier, delivery_id, stage)
        await anna.sees(order_id, status)
        refused = await anna.cancel(order_id)
        assert (refused.status, refused.json["code"]) == (409, "order.not_cancellable"), stage


async def test_a_part_comes_back_with_its_share_of_the_money(shop: Shop):
    anna, courier, product_id = await shop.buyer(500_000), await shop.staff("courier"), shop.product()
    order_id = await anna.bought(product_id, 3)
    order = await anna.see(order_id)
    await deliver(courier, anna, order_id)
    paid, stock = await anna.balance(), await shop.stock(product_id)
    await _send_back(shop, anna, order_id, product_id, 2)
    assert (await anna.sees(order_id, "delivered"))["payment"]["status"] == "partially_refunded"
    worth = 2 * order["lines"][0]["unit_price"]["amount"]
    assert (await anna.balance(), await shop.stock(product_id)) == (paid + worth, stock + 2)
    assert (await anna.payment(order_id))["status"] == "partially_refunded"
    too_many = await anna.once(f"/orders/{order_id}/returns", {"lines": [{"product_id": product_id, "quantity": 2}], "reason": "again"})
    assert too_many.status == 422, "only one is left with the buyer"
    await _send_back(shop, anna, order_id, product_id, 1)
    await anna.sees(order_id, "returned")
    assert (await anna.balance(), await shop.stock(product_id)) == (paid + order["items_total"]["amount"], stock + 3)


async def test_a_discounted_order_comes_back_at_what_was_paid_for_it(shop: Shop):
    anna, courier, product_id = await shop.buyer(500_000), await shop.staff("courier"), shop.product()
    await anna.put_in_cart(product_id, 4)
    await anna.post("/cart/promo-code", {"code": "TENTH"})
    order = (await anna.check_out()).json
    await anna.sees(order["id"], "confirmed")
    await deliver(courier, anna, order["id"])
    await _send_back(shop, anna, order["id"], product_id, 4)
    await anna.sees(order["id"], "returned")
    assert await anna.balance() == 500_000 - order["delivery_price"]["amount"], "delivery was rendered; all else came back"


async def test_only_what_was_delivered_can_be_returned(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    order_id = await anna.bought(product_id)
    refused = await anna.once(f"/orders/{order_id}/returns", {"lines": [{"product_id": product_id, "quantity": 1}], "reason": "no"})
    assert (refused.status, refused.json["code"]) == (409, "order.not_returnable")


async def test_reports_follow_sales_cancellations_and_returns(shop: Shop):
    anna, analyst, courier, product_id = await shop.buyer(), await shop.staff("analyst"), await shop.staff("courier"), shop.product()
    kept, cancelled, returned = [await anna.bought(product_id, quantity) for quantity in (1, 2, 4)]
    price = (await anna.see(kept))["lines"][0]["unit_price"]["amount"]
    await _reports(analyst, product_id, orders=3, units=7, revenue=7 * price)
    await anna.cancel(cancelled)
    await anna.sees(cancelled, "cancelled")
    await _reports(analyst, product_id, orders=2, units=5, revenue=5 * price)
    await deliver(courier, anna, returned)
    await _send_back(shop, anna, returned, product_id, 3)
    await anna.sees(returned, "delivered")
    await _reports(analyst, product_id, orders=2, units=2, revenue=2 * price)


async def _send_back(shop: Shop, buyer: Buyer, order_id: str, product_id: str, quantity: int) -> None:
    """Asks for a return, and has the courier bring it to the warehouse."""
    known = {delivery["id"] for delivery in await _returns(buyer, order_id)}
    reply = await buyer.once(f"/orders/{order_id}/returns", {"lines": [{"product_id": product_id, "quantity": quantity}], "reason": "not for me"})
    assert (reply.status, reply.json["status"]) == (202, "return_requested"), reply

    async def booked() -> Any:
        return next((delivery["id"] for delivery in await _returns(buyer, order_id) if delivery["id"] not in known), None)

    await carry(await shop.staff("courier"), await until(booked, "the return is booked"), "returned")
    await shop.settle()


async def _returns(buyer: Buyer, order_id: str) -> list[dict[str, Any]]:
    return [delivery for delivery in (await buyer.get("/deliveries", order_id=order_id)).json["items"] if delivery["kind"] == "return"]


async def _reports(analyst: Visitor, product_id: str, **wanted: int) -> None:
    told: dict[str, int] = {}

    async def equal() -> bool:
        rows = (await analyst.get("/analytics/sales", group_by="product", limit=1000)).json["items"]
        told.clear()
        for row in rows:
            if row["key"] == product_id:
                told.update(orders=row["orders"], units=row["units"], revenue=row["revenue"]["amount"])
        return told == wanted

    try:
        await until(equal, "the report follows")
    except AssertionError:
        raise AssertionError(f"the report says {told}, not {wanted}") from None
