"""Carts as a browser and a client see them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from torg.contexts.cart.handlers import HANDLERS
from torg.contexts.cart.routes import COOKIE, routes
from torg.contexts.cart.tests.house import ANNA, House
from torg.kit.auth import Identity, Role
from torg.kit.http import App
from torg.kit.testing.http import Answer, ask, edge
from torg.kit.values import is_id

PEOPLE = {"anna": ANNA, "root": Identity("00000000-0000-7000-8000-00000000ad31", frozenset({Role.ADMIN}))}


class Browser:
    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, method: str, path: str, body: object = None, *, raw: bytes | None = None, **headers: Any) -> Answer:
        return await ask(self._app, method, f"/api/v1{path}", body, raw=raw, **headers)


@pytest.fixture
async def browser(house: House) -> AsyncIterator[Browser]:
    app = edge(house.deps, HANDLERS, routes(secure=False), PEOPLE)
    house.market.sell("1", 250)
    yield Browser(app)
    await app.close()


async def test_a_guests_cart_is_named_by_header_and_cookie(browser: Browser) -> None:
    first = await browser("PUT", "/cart/items/1", {"quantity": 2})
    assert first.status == 200
    named = first.headers["x-cart-id"]
    assert is_id(named)
    assert first.json["id"] == named
    assert first.headers["set-cookie"].startswith(f"{COOKIE}={named};")
    ways: list[dict[str, Any]] = [{"x_cart_id": named}, {"cookie": f"{COOKIE}={named}"}]
    for named_by in ways:
        again = await browser("GET", "/cart", **named_by)
        assert again.json["items"][0]["quantity"] == 2
        assert again.headers["x-cart-id"] == named


async def test_a_member_gets_no_cookie_but_the_header(browser: Browser) -> None:
    reply = await browser("PUT", "/cart/items/1", {"quantity": 2}, authorization="Bearer anna")
    assert reply.headers["x-cart-id"] == reply.json["id"]
    assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("named", ["nonsense", "../user/1", "00000000-0000-7000-8000-00000000A11A", ""])
async def test_a_name_that_cannot_be_an_id_gets_a_new_cart(browser: Browser, named: str) -> None:
    reply = await browser("GET", "/cart", x_cart_id=named)
    assert reply.status == 200
    assert is_id(reply.headers["x-cart-id"])
    assert reply.headers["x-cart-id"] != named


@pytest.mark.parametrize("quantity", [0, 100, -1, "two", 1.5, None, 10**30])
async def test_an_impossible_quantity_is_refused(browser: Browser, quantity: object) -> None:
    assert (await browser("PUT", "/cart/items/1", raw=json.dumps({"quantity": quantity}).encode(), content_type="application/json")).status == 422


async def test_removing_and_clearing_answer_with_the_cart(browser: Browser) -> None:
    await browser("PUT", "/cart/items/1", {"quantity": 2}, authorization="Bearer anna")
    for path in ("/cart/items/1", "/cart"):
        reply = await browser("DELETE", path, authorization="Bearer anna")
        assert (reply.status, reply.json["items"]) == (200, [])


async def test_promo_codes_are_for_administrators(browser: Browser) -> None:
    terms = {"code": "TEN", "kind": "percent", "percent": 10, "valid_until": "2027-01-01T00:00:00Z"}
    assert (await browser("POST", "/promo-codes", terms)).status == 401
    assert (await browser("POST", "/promo-codes", terms, authorization="Bearer anna")).status == 403
    made = await browser("POST", "/promo-codes", terms, authorization="Bearer root", idempotency_key="k-1")
    assert made.status == 201
    assert (await browser("POST", "/promo-codes", terms, authorization="Bearer root", idempotency_key="k-1")).json == made.json
    assert (await browser("POST", "/promo-codes", terms, authorization="Bearer root")).status == 409
    assert [promo["code"] for promo in (await browser("GET", "/promo-codes", authorization="Bearer root")).json["items"]] == ["TEN"]
    disabled = await browser("POST", "/promo-codes/TEN/disable", authorization="Bearer root")
    assert (disabled.status, disabled.json["active"]) == (200, False)


async def test_a_promo_code_is_put_in_and_taken_out(browser: Browser) -> None:
    await browser("POST", "/promo-codes", {"code": "TEN", "kind": "percent", "percent": 10}, authorization="Bearer root")
    named = (await browser("PUT", "/cart/items/1", {"quantity": 4})).headers["x-cart-id"]
    cart = await browser("POST", "/cart/promo-code", {"code": "ten"}, x_cart_id=named)
    assert (cart.json["discount"]["amount"], cart.json["total"]["amount"]) == (100, 900)
    assert (await browser("POST", "/cart/promo-code", {"code": "none"}, x_cart_id=named)).status == 404
    assert (await browser("DELETE", "/cart/promo-code", x_cart_id=named)).json["total"]["amount"] == 1000
