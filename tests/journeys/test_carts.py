"""Carts: of guests and members, their prices, and promo codes."""

from __future__ import annotations

import pytest

from tests.shop import Shop, Visitor, fresh
from tests.shop.goods import PASSWORD

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_a_guests_cart_follows_them_into_their_account_and_joins_what_is_there(shop: Shop):
    anna, guest, one, two = await shop.buyer(0), shop.guest(), shop.product(), shop.product()
    await anna.put_in_cart(one, 1)
    assert (await guest.put(f"/cart/items/{one}", {"quantity": 2})).status == 200
    assert (await guest.put(f"/cart/items/{two}", {"quantity": 1})).status == 200
    assert {item["quantity"] for item in (await guest.get("/cart")).json["items"]} == {1, 2}
    signed_in = await guest.post("/sessions", {"email": anna.email, "password": PASSWORD})
    merged = (await Visitor(shop, signed_in.json["access_token"]).get("/cart")).json
    assert {item["product_id"] for item in merged["items"]} == {one, two}
    assert merged["subtotal"]["amount"] == sum(item["line_total"]["amount"] for item in merged["items"])
    assert not (await guest.get("/cart")).json["items"], "the guest's cart is not there twice"


async def test_a_cart_comes_with_a_cookie_for_a_guest_and_none_for_a_member(shop: Shop):
    assert "cart=" in (await shop.guest().get("/cart")).headers["set-cookie"]
    assert "set-cookie" not in (await (await shop.buyer(0)).get("/cart")).headers


async def test_what_is_put_in_and_taken_out_adds_up(shop: Shop):
    anna, one, two = await shop.buyer(0), shop.product(), shop.product()
    await anna.put_in_cart(one, 3)
    await anna.put_in_cart(two, 2)
    cart = await anna.put_in_cart(one, 1)
    assert [(item["product_id"], item["quantity"]) for item in cart["items"]] == [(one, 1), (two, 2)]
    assert (await anna.delete(f"/cart/items/{one}")).json["total"] == (await anna.get("/cart")).json["items"][0]["line_total"]
    assert (await anna.delete("/cart")).json["items"] == []


async def test_quantities_out_of_bounds_and_unknown_products_are_refused(shop: Shop):
    anna, product_id = await shop.buyer(0), shop.product()
    for quantity in (0, -1, 100, 10**30, "two", 1.5, None, True):
        assert (await anna.put(f"/cart/items/{product_id}", {"quantity": quantity})).status in (400, 422), quantity
    assert (await anna.put("/cart/items/no-such-product", {"quantity": 1})).status == 404
    assert not (await anna.get("/cart")).json["items"]


async def test_a_cart_shows_what_it_has_too_much_of(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    await shop.set_stock(product_id, 2)
    cart = await anna.put_in_cart(product_id, 3)
    assert not cart["items"][0]["available"]
    refused = await anna.check_out()
    assert (refused.status, refused.json["code"]) == (409, "cart.unavailable")
    assert (await anna.get("/cart")).json["items"][0]["quantity"] == 3, "a refused order leaves the cart as it was"


async def test_a_promo_code_takes_its_share_off_the_order(shop: Shop):
    anna, product_id = await shop.buyer(), shop.product()
    before = await anna.put_in_cart(product_id, 10)
    with_code = (await anna.post("/cart/promo-code", {"code": "tenth"})).json
    assert with_code["discount"]["amount"] == before["subtotal"]["amount"] * 10 // 100
    assert (await anna.delete("/cart/promo-code")).json["discount"]["amount"] == 0
    await anna.post("/cart/promo-code", {"code": "TENTH"})
    order = (await anna.check_out()).json
    assert order["discount"] == with_code["discount"]
    assert order["total"]["amount"] == order["items_total"]["amount"] + order["delivery_price"]["amount"] - order["discount"]["amount"]
    await anna.sees(order["id"], "confirmed")
    assert (await anna.payment(order["id"]))["amount"] == order["total"]


async def test_a_used_up_promo_code_is_refused_and_comes_back_with_a_cancelled_order(shop: Shop):
    admin, code = await shop.staff("admin"), f"ONCE-{fresh()[:8]}"
    assert (await admin.once("/promo-codes", {"code": code, "kind": "percent", "percent": 50, "uses_total": 1})).status == 201
    anna, boris, product_id = await shop.buyer(), await shop.buyer(), shop.product()
    await anna.put_in_cart(product_id)
    assert (await anna.post("/cart/promo-code", {"code": code})).status == 200
    order_id = (await anna.check_out()).json["id"]
    await anna.sees(order_id, "confirmed")
    await boris.put_in_cart(product_id)
    refused = await boris.post("/cart/promo-code", {"code": code})
    assert (refused.status, refused.json["code"]) == (409, "promo.exhausted")
    assert (await anna.cancel(order_id)).status == 202
    await anna.sees(order_id, "cancelled")
    await shop.settle()
    assert (await boris.post("/cart/promo-code", {"code": code})).status == 200


async def test_an_unknown_code_is_404_and_an_ended_one_is_refused(shop: Shop):
    anna, admin, code = await shop.buyer(0), await shop.staff("admin"), f"ENDED-{fresh()[:8]}"
    await anna.put_in_cart(shop.product())
    assert (await anna.post("/cart/promo-code", {"code": "NOSUCHCODE"})).status == 404
    assert (await admin.once("/promo-codes", {"code": code, "kind": "free_delivery"})).status == 201
    assert (await admin.once(f"/promo-codes/{code}/disable")).status == 200
    assert (await anna.post("/cart/promo-code", {"code": code})).status == 409
