"""How the shop answers whoever asks: refusals that are clear, doors that are closed, languages, and what a process tells about itself."""

from __future__ import annotations

import pytest

from tests.shop import Shop, Visitor, fresh

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


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
