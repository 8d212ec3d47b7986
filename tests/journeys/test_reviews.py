"""Reviews: written by who received it, let through by moderators, counted once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shop import Shop, until
from tests.shop.people import Buyer, deliver

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

GOOD = {"rating": 5, "title": "Good", "text": "Fresh and <b>tasty</b>."}


async def test_only_who_received_it_may_review_it_and_only_once(shop: Shop):
    product_id = shop.product()
    anna, boris = await shop.buyer(), await shop.buyer(0)
    assert (await shop.guest().post(f"/products/{product_id}/reviews", GOOD)).status == 401
    stranger = await boris.post(f"/products/{product_id}/reviews", GOOD)
    assert (stranger.status, stranger.json["code"]) == (403, "review.not_purchased")
    order_id = await anna.bought(product_id)
    early = await anna.post(f"/products/{product_id}/reviews", GOOD)
    assert (early.status, early.json["code"]) == (403, "review.not_purchased")
    await deliver(await shop.staff("courier"), anna, order_id)
    written = await _written(anna, product_id)
    assert written["status"] == "pending"
    again = await anna.post(f"/products/{product_id}/reviews", GOOD)
    assert (again.status, again.json["code"]) == (409, "review.already_written")


async def test_a_review_counts_once_a_moderator_lets_it_through(shop: Shop):
    product_id, moderator = shop.product(), await shop.staff("moderator")
    for rating, decision in ((5, "approve"), (2, "approve"), (1, "reject")):
        review = await _reviewed(shop, product_id, rating)
        assert review["id"] in {item["id"] for item in (await moderator.get("/reviews", status="pending", limit=100)).json["items"]}
        assert (await shop.guest().get(f"/reviews/{review['id']}")).status == 404, "nobody reads what is not let through"
        decided = await moderator.once(f"/reviews/{review['id']}/moderation", {"decision": decision, "reason": "read"})
        assert decided.status == 200
    await until(lambda: _is_rated(shop, product_id, average=3.5, count=2), "the product shows its rating")
    shown = (await shop.guest().get(f"/products/{product_id}/reviews")).json
    assert (shown["total"], shown["distribution"]) == (2, {"1": 0, "2": 1, "3": 0, "4": 0, "5": 1})
    assert shown["items"][0]["author"] != "Anna Petrova", "the whole name is nobody's business"
    await until(lambda: _is_listed(shop, product_id), "the list finds it by its rating")


async def test_a_buyer_is_told_what_became_of_their_review(shop: Shop):
    product_id, moderator, anna = shop.product(), await shop.staff("moderator"), await shop.buyer()
    await deliver(await shop.staff("courier"), anna, await anna.bought(product_id))
    review = await _written(anna, product_id)
    await moderator.once(f"/reviews/{review['id']}/moderation", {"decision": "reject", "reason": "About the courier, not the product"})

    async def told() -> bool:
        return "review.rejected" in {entry["kind"] for entry in (await anna.get("/notifications")).json["items"]}

    await until(told, "the feed tells of it")
    assert (await anna.get("/reviews/mine")).json["items"][0]["reason"] == "About the courier, not the product"


async def test_a_vote_counts_once_for_each_reader_and_none_for_its_author(shop: Shop):
    product_id, moderator, anna, boris = shop.product(), await shop.staff("moderator"), await shop.buyer(), await shop.buyer(0)
    await deliver(await shop.staff("courier"), anna, await anna.bought(product_id))
    review = await _written(anna, product_id)
    await moderator.once(f"/reviews/{review['id']}/moderation", {"decision": "approve", "reason": ""})
    for helpful in (True, True, False):
        assert (await boris.post(f"/reviews/{review['id']}/votes", {"helpful": helpful})).status == 200
    shown = (await shop.guest().get(f"/reviews/{review['id']}")).json
    assert (shown["helpful"], shown["unhelpful"]) == (0, 1)
    assert (await anna.post(f"/reviews/{review['id']}/votes", {"helpful": True})).status == 403


async def test_the_seller_may_answer_below_a_review(shop: Shop):
    product_id, moderator, admin, seller = shop.product(), await shop.staff("moderator"), await shop.staff("admin"), await shop.buyer(0)
    review = await _reviewed(shop, product_id, 3)
    answer = {"text": "Thank you: we changed the recipe."}
    assert (await seller.post(f"/reviews/{review['id']}/reply", answer)).status == 403
    await admin.put(f"/admin/users/{seller.user_id}/roles", {"roles": ["customer", "partner"]})
    seller.token = (await shop.sign_in(seller.email)).token
    assert (await seller.post(f"/reviews/{review['id']}/reply", answer)).status == 404, "not before it is let through"
    await moderator.once(f"/reviews/{review['id']}/moderation", {"decision": "approve", "reason": ""})
    assert (await seller.post(f"/reviews/{review['id']}/reply", answer)).status == 200
    (shown,) = (await shop.guest().get(f"/products/{product_id}/reviews")).json["items"]
    assert shown["reply"]["text"] == answer["text"]


async def _reviewed(shop: Shop, product_id: str, rating: int) -> Any:
    buyer = await shop.buyer()
    await deliver(await shop.staff("courier"), buyer, await buyer.bought(product_id))
    return await _written(buyer, product_id, rating)


async def _written(buyer: Buyer, product_id: str, rating: int = 5) -> Any:
    """Written as soon as the reviews have heard of the delivery."""

    async def taken() -> Any:
        reply = await buyer.post(f"/products/{product_id}/reviews", {**GOOD, "rating": rating})
        return reply.json if reply.status == 201 else None

    return await until(taken, "the review is taken")


async def _is_rated(shop: Shop, product_id: str, average: float, count: int) -> bool:
    rating = (await shop.guest().get(f"/products/{product_id}")).json["rating"]
    return bool((rating["average"], rating["count"]) == (average, count))


async def _is_listed(shop: Shop, product_id: str) -> bool:
    page = (await shop.guest().get("/products", rating_min=3, limit=100)).json
    return product_id in {item["id"] for item in page["items"]}
