"""How the shop answers whoever asks: refusals that are clear, doors that are closed, languages, and what a process tells about itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shop import Shop, Visitor, fresh
from tests.shop.goods import STAFF
from torg.kit.auth import Role
from torg.kit.http import Route

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

SOME_ID = "01890000-0000-7000-8000-000000000000"


async def test_every_closed_door_asks_a_guest_to_sign_in(shop: Shop):
    for route in _guarded(shop):
        reply = await _knock(shop, route, "")
        assert reply.status == 401, (route.method, route.path, reply)
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_every_staff_door_is_closed_to_buyers_and_to_staff_of_other_roles(shop: Shop):
    tokens = {Role.CUSTOMER: (await shop.buyer(0)).token} | {role: (await shop.staff(name)).token for name, role in STAFF.items()}
    doors = [route for route in _guarded(shop) if route.who]
    assert len(doors) >= 35
    for route in doors:
        for role, token in tokens.items():
            if role not in (route.who or ()) and role is not Role.ADMIN:
                reply = await _knock(shop, route, token)
                assert reply.status == 403, (role, route.method, route.path, reply)


async def test_another_persons_things_are_not_there(shop: Shop):
    anna, thief = await shop.buyer(), await shop.buyer()
    order_id = await anna.bought(shop.product())
    payment, delivery = await anna.payment(order_id), await anna.delivery(order_id)
    for path in (
        f"/orders/{order_id}", f"/orders/{order_id}/events", f"/orders/{order_id}/saga", f"/payments/{payment['id']}", f"/deliveries/{delivery['id']}",
        f"/deliveries/{delivery['id']}/events",
    ):  # fmt: skip
        assert (await anna.get(path)).status == 200, path
        assert (await thief.get(path)).status == 404, path
    assert (await thief.cancel(order_id)).status == 404
    assert (await thief.once(f"/orders/{order_id}/returns", {"lines": [{"product_id": "1", "quantity": 1}], "reason": "x"})).status == 404
    assert (await thief.post(f"/payments/{payment['id']}/check")).status == 404
    for path in ("/payments", "/deliveries"):
        assert not (await thief.get(path, order_id=order_id)).json["items"], path
    saved = (await anna.post("/users/me/addresses", {"city": "Moscow", "street": "A 1", "postcode": "125009", "country": "RU"})).json
    assert (await thief.delete(f"/users/me/addresses/{saved['id']}")).status == 404
    assert (await anna.see(order_id))["status"] == "confirmed"


async def test_a_forged_or_broken_token_opens_nothing(shop: Shop):
    for token in ("not.a.token", "x" * 5000, (await shop.buyer(0)).token[:-2] + "xx"):
        reply = await Visitor(shop, token).get("/users/me")
        assert (reply.status, reply.json["code"]) == (401, "session.invalid")
    assert (await shop.guest(authorization="Basic YWRtaW46YWRtaW4=").get("/users/me")).status == 401


@pytest.mark.parametrize(
    ("raw", "content_type", "status"),
    [
        (b"{not json", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"email": "\xff"}', "application/json", 400),
        (b"[1, 2]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"email": "' + b"a" * (1 << 20) + b'"}', "application/json", 413),
        (b"email=a@b.example", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 400),
    ],
)  # fmt: skip
async def test_a_body_that_is_none_gets_a_clear_answer(shop: Shop, raw: bytes, content_type: str, status: int):
    reply = await shop.guest().ask("POST", "/users", raw=raw, content_type=content_type)
    assert reply.status == status, reply
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["code"]


async def test_what_is_not_there_and_what_cannot_be_done_there_are_told_apart(shop: Shop):
    assert (await shop.guest().get("/no/such/thing")).json["code"] == "route.not_found"
    reply = await shop.guest().delete("/products")
    assert (reply.status, reply.json["code"]) == (405, "method.not_allowed")
    assert (await (await shop.buyer(0)).get("/orders/not-an-id")).status in (404, 422)


async def test_lists_refuse_limits_and_cursors_that_cannot_be(shop: Shop):
    anna = await shop.buyer(0)
    for path in ("/products", "/orders", "/payments", "/notifications"):
        for query in ({"limit": 0}, {"limit": 101}, {"limit": "many"}, {"no_such": 1}):
            assert (await anna.get(path, **query)).status == 422, (path, query)
    assert (await anna.get("/products", cursor="garbage")).status in (400, 422)


async def test_a_reader_gets_their_language(shop: Shop):
    path = f"/products/{shop.product()}"
    russian = await shop.guest(**{"accept-language": "ru-RU,ru;q=0.9,en;q=0.8"}).get(path)
    english = await shop.guest(**{"accept-language": "en-GB"}).get(path)
    other = await shop.guest(**{"accept-language": "fr,de;q=0.5"}).get(path)
    assert russian.json["name"] != english.json["name"] == other.json["name"]
    assert any("а" <= letter <= "я" for letter in russian.json["name"].lower())
    tree = (await shop.guest(**{"accept-language": "ru"}).get("/categories")).json
    assert any("а" <= letter <= "я" for letter in str(tree).lower())


async def test_a_process_tells_how_it_is(shop: Shop):
    outside = Visitor(shop, prefix="")
    assert (await outside.get("/health")).status == 200
    ready = await outside.get("/ready")
    assert (ready.status, set(ready.json["checks"].values())) == (200, {"ok"}), ready
    metrics = (await outside.get("/metrics")).body.decode()
    assert "/api/v1/products" in metrics or 'torg_gateway_seconds_count{context="catalog"' in metrics
    spec = (await outside.get("/openapi.json")).json
    assert spec["openapi"].startswith("3.")
    served = {(route.method, route.path) for route in shop.routes if route.public}
    assert {(method.upper(), path) for path, methods in spec["paths"].items() for method in methods} == served
    assert len((await outside.get("/asyncapi.json")).json["components"]["messages"]) >= 40


async def test_every_answer_carries_its_request_id_and_guards(shop: Shop):
    reply = await shop.guest().get("/categories")
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    first, second = await shop.guest().get(f"/products/{fresh()}"), await shop.guest().get(f"/products/{fresh()}")
    assert first.json["instance"] == first.headers["x-request-id"] != second.headers["x-request-id"]


def _guarded(shop: Shop) -> list[Route]:
    return [route for route in shop.routes if route.who is not None and route.public]


async def _knock(shop: Shop, route: Route, token: str) -> Any:
    path = "/".join(SOME_ID if part.startswith("{") else part for part in route.path.split("/"))
    return await Visitor(shop, token, prefix="").ask(route.method, path, **{"idempotency-key": fresh()})
