"""With reviews, analytics and notifications away, the shop still sells; what they missed they make up for."""

from __future__ import annotations

import pytest

from tests.shop import Shop, Visitor, until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


@pytest.mark.parametrize("away", ["review", "analytics", "notification"])
async def test_the_shop_sells_without(shop: Shop, away: str):
    anna, product_id, guest = await shop.buyer(), shop.product(), shop.guest()
    async with shop.unreachable(away):
        assert (await guest.get(f"/products/{product_id}")).status == 200
        assert (await guest.get(f"/products/{product_id}/recommendations")).status == 200
        assert (await guest.get("/products", query="cheese")).status == 200
        order_id = await anna.bought(product_id)
    assert (await anna.payment(order_id))["status"] == "captured"


@pytest.mark.parametrize("lost", ["review", "analytics", "notification", "admin"])
async def test_the_shop_sells_and_is_ready_when_a_disk_it_can_do_without_is_lost(shop: Shop, lost: str):
    anna, product_id, operator = await shop.buyer(), shop.product(), Visitor(shop, prefix="")
    with shop.broken_disk(lost):
        order_id = await anna.bought(product_id)
        assert (await shop.send("GET", f"/products/{product_id}", accept="text/html")).status == 200
        ready = await operator.get("/ready")
        assert ready.status == 200, ready
        assert "disk I/O error" in ready.json["checks"][f"{lost}.store"]
    assert (await anna.payment(order_id))["status"] == "captured"

    async def all_well() -> bool:
        return set((await operator.get("/ready")).json["checks"].values()) == {"ok"}

    await until(all_well, "the disk is back, and so is all else")


async def test_a_cart_is_shown_as_last_known_while_stock_cannot_be_asked(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    fresh = await anna.put_in_cart(product_id, 2)
    async with shop.unreachable("inventory"):
        stale = (await anna.get("/cart")).json
        assert stale["stale"]
        assert stale["total"] == fresh["total"]
        refused = await anna.check_out()
        assert refused.status == 503
        assert int(refused.headers["retry-after"]) >= 1
    await anna.sees((await anna.check_out()).json["id"], "confirmed")


async def test_money_that_cannot_be_asked_for_is_left_out_of_the_profile(shop: Shop):
    anna = await shop.buyer(500)
    async with shop.unreachable("payment"):
        assert (await anna.get("/users/me")).json["balance"] is None
    assert (await anna.get("/users/me")).json["balance"]["amount"] == 500


async def test_what_a_feed_missed_comes_later(shop: Shop):
    anna = await shop.buyer()
    async with shop.unreachable("notification"):
        order_id = await anna.bought(shop.product())

    async def told() -> bool:
        return order_id in {entry["order_id"] for entry in (await anna.get("/notifications")).json["items"]}

    await until(told, "the feed tells of the order")
