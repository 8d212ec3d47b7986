"""Behind the counter: stock, deliveries from suppliers, figures, operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

import pytest

from tests.shop import Buyer, Shop, fresh, until
from tests.shop.people import deliver
from torg.contexts.payment.contracts import CreditWallet
from torg.kit.values import Money

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_a_correction_shows_at_once_and_never_falls_below_what_is_reserved(shop: Shop):
    clerk, anna, product_id = await shop.staff("warehouse"), await shop.buyer(0), shop.product()
    await shop.set_stock(product_id, 5)
    await anna.bought(product_id, 3, "cash")
    shelf = (await clerk.get(f"/inventory/{product_id}")).json
    assert (shelf["on_hand"], shelf["reserved"], shelf["available"]) == (5, 3, 2)
    (place,) = [place for place in shelf["by_warehouse"] if place["on_hand"]]
    too_much = {"warehouse_id": place["warehouse_id"], "quantity": -3, "reason": "lost"}
    refused = await clerk.once(f"/inventory/{product_id}/movements", too_much)
    assert (refused.status, refused.json["code"]) == (422, "stock.below_reserved")
    assert (await clerk.once(f"/inventory/{product_id}/movements", {**too_much, "quantity": -2})).status == 201
    assert await shop.stock(product_id) == 0
    newest = (await clerk.get(f"/inventory/{product_id}/movements")).json["items"][0]
    assert (newest["kind"], newest["quantity"], newest["reason"]) == ("corrected", -2, "lost")


async def test_a_guest_sees_how_many_there_are_and_nothing_else(shop: Shop):
    assert set((await shop.guest().get(f"/inventory/{shop.product()}")).json) == {"product_id", "available"}


async def test_the_product_page_and_the_search_follow_the_stock(shop: Shop):
    product_id = shop.product()
    await shop.set_stock(product_id, 0)
    await until(lambda: _shows(shop, product_id, in_stock=False), "the page says that it is sold out")
    await until(lambda: _listed(shop, product_id, in_stock=False), "the list of what is in stock leaves it out")
    await shop.set_stock(product_id, 4)
    await until(lambda: _shows(shop, product_id, in_stock=True), "the page offers it again")
    await until(lambda: _listed(shop, product_id, in_stock=True), "the list has it again")


async def test_ordered_goods_come_in_parts_and_no_more_than_was_ordered(shop: Shop):
    clerk, product_id = await shop.staff("warehouse"), shop.product()
    before = await shop.stock(product_id)
    supplier = (await clerk.once("/suppliers", {"name": "Mill & Sons", "email": "mill@example.com"})).json
    house = (await clerk.get("/warehouses")).json["items"][0]["id"]
    drafted = await clerk.once(
        "/purchase-orders", {"supplier_id": supplier["id"], "warehouse_id": house, "lines": [{"product_id": product_id, "quantity": 10}]}
    )
    assert drafted.status == 201
    path = f"/purchase-orders/{drafted.json['id']}"
    some = {"lines": [{"product_id": product_id, "quantity": 4}]}
    assert (await clerk.once(f"{path}/receipts", some)).json["code"] == "purchase_order.not_ordered"
    assert (await clerk.once(f"{path}/order")).json["status"] == "ordered"
    key = fresh()
    for _ in range(2):
        assert (await clerk.post(f"{path}/receipts", some, key=key)).json["status"] == "partly_received"
    assert await shop.stock(product_id) == before + 4, "a receipt sent twice is taken in once"
    assert (await clerk.once(f"{path}/receipts", {"lines": [{"product_id": product_id, "quantity": 7}]})).status == 422
    assert (await clerk.once(f"{path}/receipts", {"lines": [{"product_id": product_id, "quantity": 6}]})).json["status"] == "received"
    assert await shop.stock(product_id) == before + 10


async def test_low_stock_is_told_to_the_warehouse(shop: Shop):
    clerk, anna, product_id = await shop.staff("warehouse"), await shop.buyer(), shop.product()
    await shop.set_stock(product_id, 3)
    assert (await clerk.put(f"/inventory/{product_id}/alert", {"alert_below": 3})).status == 200
    await anna.bought(product_id)

    async def listed() -> bool:
        lines = (await clerk.get("/inventory/low-stock", limit=100)).json["items"]
        return {"product_id": product_id, "available": 2, "alert_below": 3} in lines

    async def told() -> bool:
        feed = (await clerk.get("/notifications", limit=100)).json["items"]
        return any(entry["kind"] == "inventory.low_stock" and product_id in entry["link"] + entry["text"] for entry in feed)

    await until(listed, "it is on the list")
    await until(told, "the warehouse is told")


async def test_what_visitors_do_is_counted_once_however_often_it_is_sent(shop: Shop):
    analyst = await shop.staff("analyst")
    await shop.settle()
    before = await _funnel(shop)
    visitor, product_id = fresh(), shop.product()
    batch = {"events": [{"id": fresh(), "kind": kind, "visitor": visitor, "product_id": product_id} for kind in ("view", "view", "cart", "checkout")]}
    assert (await shop.guest().post("/analytics/events", batch)).json == {"recorded": 4}
    assert (await shop.guest().post("/analytics/events", batch)).json == {"recorded": 0}

    async def counted() -> bool:
        after = await _funnel(shop)
        return {step: after[step] - before[step] for step in after} == {"view": 1, "cart": 1, "checkout": 1, "placed": 0, "confirmed": 0}

    await until(counted, "the visit is counted")
    assert (await analyst.get("/analytics/cohorts")).status == 200


async def test_a_sale_shows_by_day_city_and_product(shop: Shop):
    analyst, anna, product_id = await shop.staff("analyst"), await shop.buyer(), shop.product()
    day = f"{shop.clock():%Y-%m-%d}"
    before = await _rows(shop, "day")
    order_id = await anna.bought(product_id, 2)
    worth = (await anna.see(order_id))["items_total"]["amount"]

    async def counted() -> bool:
        return (await _rows(shop, "day")).get(day, 0) == before.get(day, 0) + 1

    await until(counted, "the report counts it")
    assert (await _rows(shop, "city"))["Moscow"] >= 1
    top = (await analyst.get("/analytics/top-products", by="units", limit=100)).json["items"]
    (row,) = [row for row in top if row["key"] == product_id]
    assert (row["units"], row["revenue"]["amount"]) == (2, worth)


async def test_what_is_bought_together_is_recommended_together(shop: Shop):
    one, other = shop.product(), shop.product()
    for _ in range(3):
        anna = await shop.buyer()
        await anna.put_in_cart(one)
        await anna.put_in_cart(other)
        await anna.sees((await anna.check_out()).json["id"], "confirmed")

    limits = cycle(range(4, 25))  # an answer is kept for a while: each time another question

    async def recommended() -> bool:
        await asyncio.sleep(0.5)
        found = (await shop.guest().get(f"/products/{one}/recommendations", limit=next(limits))).json
        return other in {item["id"] for item in found["bought_together"]}

    await until(recommended, "each leads to the other")


async def test_operators_find_sagas_by_how_they_stand_and_may_give_them_up(shop: Shop):
    support, anna, product_id = await shop.staff("support"), await shop.buyer(0), shop.product()
    before = await shop.stock(product_id)
    order_id = await anna.order(product_id, method="card")
    await anna.sees(order_id, "reserved")
    running = (await support.get("/admin/sagas", status="running", limit=100)).json["items"]
    (saga,) = [saga for saga in running if saga["order_id"] == order_id]
    assert saga["current_step"] == "pay"
    assert (await support.once(f"/admin/sagas/{saga['saga_id']}/retry")).status == 200
    assert (await support.once(f"/admin/sagas/{saga['saga_id']}/compensate")).status == 200
    await anna.sees(order_id, "rejected")
    assert await shop.stock(product_id) == before
    ended = await support.once(f"/admin/sagas/{saga['saga_id']}/retry")
    assert ended.status in (404, 409)


async def test_every_change_by_staff_is_on_the_audit_trail(shop: Shop):
    clerk, support, product_id = await shop.staff("warehouse"), await shop.staff("support"), shop.product()
    me = (await clerk.get("/users/me")).json["id"]
    await clerk.put(f"/inventory/{product_id}/alert", {"alert_below": 1})
    await clerk.once(f"/inventory/{product_id}/movements", {"warehouse_id": "nowhere", "quantity": 1, "reason": "x"})
    trail = (await support.get("/admin/audit", actor=me, object=product_id)).json["items"]
    assert [(entry["method"], entry["status"]) for entry in trail] == [("POST", 404), ("PUT", 200)]
    assert all(entry["roles"] == ["warehouse"] for entry in trail)
    assert not (await support.get("/admin/audit", object=product_id, actor="nobody")).json["items"]


async def test_operators_see_everybodys_orders_and_logs(shop: Shop):
    support, anna = await shop.staff("support"), await shop.buyer()
    order_id = await anna.bought(shop.product())
    assert order_id in {order["id"] for order in (await support.get("/admin/orders", user_id=anna.user_id)).json["items"]}
    rows = (await support.get("/admin/events", context="order", stream=order_id, limit=100)).json["items"]
    assert rows[-1]["name"] == "order.placed"
    assert rows[-1]["actor"] == anna.user_id
    consumers = (await support.get("/admin/consumers")).json["items"]
    assert {"order", "inventory", "payment", "shipping"} <= {consumer["context"] for consumer in consumers}


async def test_a_message_that_cannot_be_handled_waits_with_the_operators_and_delays_no_other(shop: Shop):
    """The reviews' table of who received what is away for a while."""
    courier = await shop.staff("courier")
    anna, boris = await shop.buyer(), await shop.buyer()
    theirs, his = await anna.bought(shop.product()), await boris.bought(shop.product())
    async with _away(shop, "review", "delivered"):
        await deliver(courier, anna, theirs)
        letter = await until(lambda: _given_up(shop, "review", theirs), "it is given up after its last try", 30)
        assert letter["attempts"] == 8
        assert "delivered" in letter["error"]
    await deliver(courier, boris, his)
    await until(lambda: _may_review(boris, his), "another order is heard of meanwhile")
    assert not await _may_review(anna, theirs)
    support = await shop.staff("support")  # much of the clock's time has passed
    assert (await support.once(f"/admin/dead-letters/{letter['id']}/redrive")).status == 200
    await until(lambda: _may_review(anna, theirs), "it went through")
    assert not await _dead(shop, "review", theirs)


async def test_goodwill_money_with_one_reference_comes_once(shop: Shop):
    anna, reference = await shop.buyer(0), fresh()
    for _ in range(2):
        await shop.call(CreditWallet(user_id=anna.user_id, amount=Money(500, "USD"), reference=reference))
    assert await anna.balance() == 500


@asynccontextmanager
async def _away(shop: Shop, context: str, table: str) -> AsyncIterator[None]:
    store = await shop.store(context)
    async with store.transaction() as tx:
        await tx.execute(f"alter table {table} rename to hidden")
    try:
        yield
    finally:
        async with store.transaction() as tx:
            await tx.execute(f"alter table hidden rename to {table}")


async def _given_up(shop: Shop, context: str, stream: str) -> Any:
    """Moves the clock on from try to try."""
    shop.clock.advance(seconds=4)
    await asyncio.sleep(0.05)
    return await _dead(shop, context, stream)


async def _dead(shop: Shop, context: str, stream: str) -> Any:
    support = await shop.staff("support")
    letters = (await support.get("/admin/dead-letters", limit=100)).json["items"]
    return next((letter for letter in letters if (letter["context"], letter["stream"]) == (context, stream)), None)


async def _may_review(buyer: Buyer, order_id: str) -> bool:
    product_id = (await buyer.see(order_id))["lines"][0]["product_id"]
    reply = await buyer.post(f"/products/{product_id}/reviews", {"rating": 4, "title": "Fine", "text": "Fine."})
    return reply.status in (201, 409)


async def _funnel(shop: Shop) -> dict[str, int]:
    analyst = await shop.staff("analyst")
    return {step["step"]: step["visitors"] for step in (await analyst.get("/analytics/funnel")).json["items"]}


async def _rows(shop: Shop, group_by: str) -> dict[str, int]:
    analyst = await shop.staff("analyst")
    return {row["key"]: row["orders"] for row in (await analyst.get("/analytics/sales", group_by=group_by)).json["items"]}


async def _shows(shop: Shop, product_id: str, in_stock: bool) -> bool:
    return bool((await shop.guest().get(f"/products/{product_id}")).json["in_stock"] is in_stock)


async def _listed(shop: Shop, product_id: str, in_stock: bool) -> bool:
    cursor: str | None = ""
    while cursor is not None:
        page = (await shop.guest().get("/products", in_stock="true", limit=100, cursor=cursor)).json
        if product_id in {item["id"] for item in page["items"]}:
            return in_stock
        cursor = page["next_cursor"]
    return not in_stock


async def test_purchases_can_be_looked_up_and_given_up(shop: Shop):
    clerk, product_id = await shop.staff("warehouse"), shop.product()
    supplier = (await clerk.once("/suppliers", {"name": "Dairy Ltd", "lead_days": 3})).json
    assert supplier["id"] in {one["id"] for one in (await clerk.get("/suppliers")).json["items"]}
    house = (await clerk.get("/warehouses")).json["items"][0]["id"]
    lines = [{"product_id": product_id, "quantity": 8}]
    purchase = (await clerk.once("/purchase-orders", {"supplier_id": supplier["id"], "warehouse_id": house, "lines": lines})).json
    await clerk.once(f"/purchase-orders/{purchase['id']}/order")
    assert (await clerk.get(f"/purchase-orders/{purchase['id']}")).json["status"] == "ordered"
    assert purchase["id"] in {one["id"] for one in (await clerk.get("/purchase-orders", supplier_id=supplier["id"])).json["items"]}
    assert (await clerk.once(f"/purchase-orders/{purchase['id']}/cancel")).json["status"] == "cancelled"
    assert (await clerk.once(f"/purchase-orders/{purchase['id']}/receipts", {"lines": lines})).status == 409


async def test_an_order_is_sent_from_where_all_of_it_lies(shop: Shop):
    clerk, anna, product_id = await shop.staff("warehouse"), await shop.buyer(), shop.product()
    house = (await clerk.once("/warehouses", {"name": f"Kazan {fresh()[:6]}", "city": "Kazan"})).json
    for place in (await clerk.get(f"/inventory/{product_id}")).json["by_warehouse"]:
        change = 5 if place["warehouse_id"] == house["id"] else -place["available"]
        if change:
            moved = {"warehouse_id": place["warehouse_id"], "quantity": change, "reason": "all to Kazan"}
            assert (await clerk.once(f"/inventory/{product_id}/movements", moved)).status == 201
    order_id = await anna.bought(product_id, 2)
    assert (await anna.delivery(order_id))["source"] == "Kazan"


async def test_promo_codes_are_listed_with_their_uses(shop: Shop):
    admin, anna, code = await shop.staff("admin"), await shop.buyer(), f"LIST-{fresh()[:8]}".upper()
    await admin.once("/promo-codes", {"code": code, "kind": "amount", "amount": {"amount": 5, "currency": "USD"}})
    await anna.put_in_cart(shop.product())
    await anna.post("/cart/promo-code", {"code": code})
    await anna.sees((await anna.check_out()).json["id"], "confirmed")
    listed = {promo["code"]: promo["used"] for promo in (await admin.get("/promo-codes", limit=100)).json["items"]}
    assert listed[code] == 1
    assert (await admin.once("/promo-codes", {"code": code, "kind": "free_delivery"})).json["code"] == "promo.code_taken"
