"""Accounts, carts, stock and reviews under attack."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.shop import Shop, Visitor, fresh, until
from tests.shop.goods import PASSWORD
from tests.shop.people import deliver

pytestmark = [pytest.mark.race, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_an_address_is_registered_once(shop: Shop):
    person = {"email": f"{fresh()}@x.example", "password": PASSWORD, "full_name": "Twin"}
    replies = await asyncio.gather(*(shop.guest().post("/users", person) for _ in range(10)))
    assert Counter(reply.status for reply in replies) == {201: 1, 409: 9}


async def test_a_flood_of_guesses_keeps_nobody_from_looking_ordering_and_signing_in(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    flood = asyncio.gather(*(shop.guest().post("/sessions", {"email": f"{fresh()}@x.example", "password": "wrong-guess-1"}) for _ in range(300)))

    async def all_done() -> bool:
        """Whoever is asked to come back in a moment does."""
        looked, filled = await shop.guest().get(f"/products/{product_id}"), await anna.put(f"/cart/items/{product_id}", {"quantity": 1})
        signed_in = await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})
        return [looked.status, filled.status, signed_in.status] == [200, 200, 201]

    await until(all_done, "people look around, fill carts and sign in")
    assert (await anna.check_out()).status == 202
    assert {reply.status for reply in await flood} <= {401, 429, 503}


async def test_a_refresh_token_is_traded_once(shop: Shop):
    anna = await shop.buyer(0)
    pair = (await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})).json
    replies = await asyncio.gather(*(shop.guest().post("/sessions/refresh", {"refresh_token": pair["refresh_token"]}) for _ in range(10)))
    assert Counter(reply.status for reply in replies)[201] <= 1
    assert {reply.status for reply in replies} <= {201, 401}


async def test_a_guests_cart_is_merged_once_by_two_sign_ins(shop: Shop):
    anna, guest, product_id = await shop.buyer(0), shop.guest(), shop.product()
    await guest.put(f"/cart/items/{product_id}", {"quantity": 2})
    replies = await asyncio.gather(*(guest.post("/sessions", {"email": anna.email, "password": PASSWORD}) for _ in range(4)))
    assert {reply.status for reply in replies} == {201}
    merged = (await Visitor(shop, replies[0].json["access_token"]).get("/cart")).json
    assert [item["quantity"] for item in merged["items"]] == [2]


async def test_many_changes_of_one_cart_lose_nothing(shop: Shop):
    anna, products = await shop.buyer(0), [shop.product() for _ in range(8)]
    await asyncio.gather(*(anna.put_in_cart(product_id, number + 1) for number, product_id in enumerate(products)))
    cart = {item["product_id"]: item["quantity"] for item in (await anna.get("/cart")).json["items"]}
    assert cart == {product_id: number + 1 for number, product_id in enumerate(products)}


async def test_corrections_and_orders_race_for_one_shelf(shop: Shop):
    clerk, product_id = await shop.staff("warehouse"), shop.product()
    await shop.set_stock(product_id, 10)
    places = (await clerk.get(f"/inventory/{product_id}")).json["by_warehouse"]
    (house,) = [place["warehouse_id"] for place in places if place["available"]]
    buyers = [await shop.buyer() for _ in range(12)]
    for buyer in buyers:
        await buyer.put_in_cart(product_id)
    less = {"warehouse_id": house, "quantity": -1, "reason": "broken"}
    moved, replies = await asyncio.gather(
        asyncio.gather(*(clerk.once(f"/inventory/{product_id}/movements", less) for _ in range(8))), asyncio.gather(*(buyer.check_out() for buyer in buyers))
    )
    ends = Counter(
        [(await buyer.sees(reply.json["id"], "confirmed", "rejected"))["status"] for buyer, reply in zip(buyers, replies, strict=True) if reply.status == 202]
    )
    taken = sum(reply.status == 201 for reply in moved)
    assert {reply.status for reply in moved} <= {201, 422}
    assert taken + ends["confirmed"] == 10, (taken, ends)
    assert await shop.stock(product_id) == 0


async def test_goods_are_taken_in_once_by_two_clerks(shop: Shop):
    clerk, product_id = await shop.staff("warehouse"), shop.product()
    before = await shop.stock(product_id)
    supplier = (await clerk.once("/suppliers", {"name": "Mill"})).json["id"]
    house = (await clerk.get("/warehouses")).json["items"][0]["id"]
    lines = [{"product_id": product_id, "quantity": 6}]
    drafted = (await clerk.once("/purchase-orders", {"supplier_id": supplier, "warehouse_id": house, "lines": lines})).json
    await clerk.once(f"/purchase-orders/{drafted['id']}/order")
    replies = await asyncio.gather(*(clerk.once(f"/purchase-orders/{drafted['id']}/receipts", {"lines": lines}) for _ in range(5)))
    assert Counter(reply.status for reply in replies)[201] == 1, replies
    assert await shop.stock(product_id) == before + 6


async def test_a_review_is_written_once_and_counted_once(shop: Shop):
    anna, moderator, product_id = await shop.buyer(), await shop.staff("moderator"), shop.product()
    await deliver(await shop.staff("courier"), anna, await anna.bought(product_id))
    await shop.settle()
    words = {"rating": 4, "title": "Fine", "text": "Fine."}
    replies = await asyncio.gather(*(anna.post(f"/products/{product_id}/reviews", words) for _ in range(8)))
    assert Counter(reply.status for reply in replies) == {201: 1, 409: 7}
    (review,) = [reply.json["id"] for reply in replies if reply.status == 201]
    approval = {"decision": "approve", "reason": ""}
    await asyncio.gather(*(moderator.once(f"/reviews/{review}/moderation", approval) for _ in range(5)))

    async def rated() -> Any:
        return (await shop.guest().get(f"/products/{product_id}")).json["rating"]["count"]

    assert await until(rated, "the product shows its rating") == 1


async def test_two_edits_of_a_product_do_not_overwrite_each_other(shop: Shop):
    admin, product_id = await shop.staff("admin"), shop.product()
    etag = (await shop.guest().get(f"/products/{product_id}")).headers["etag"]
    edits = [{"price": {"amount": 1000 + number, "currency": "USD"}} for number in range(6)]
    replies = await asyncio.gather(*(admin.patch(f"/products/{product_id}", edit, if_match=etag) for edit in edits))
    assert Counter(reply.status for reply in replies) == {200: 1, 412: 5}
