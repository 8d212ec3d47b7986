"""The front door: who is counted by what, and what a refusal says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from torg.contexts.gateway.tests.street import NARROW, Street, times
from torg.kit.limits.shared import RedisLimiter
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until
from torg.kit.values import new_id

__all__ = ["redis_url"]


async def test_people_are_counted_each_by_themselves_and_guests_by_their_address():
    street = Street(limits={"all": {"requests": 3, "guests": 1}})
    for token in ("anna", "boris", ""):
        assert await times(4, lambda token=token: street.ask("/api/v1/cart", token)) == [200, 200, 200, 429]  # type: ignore[misc]
    assert (await street.ask("/api/v1/cart", client="203.0.113.9")).status == 200
    assert (await street.ask("/api/v1/cart", "made-up")).status == 429


async def test_an_address_stands_for_many_guests():
    street = Street(limits={"all": {"requests": 2, "guests": 3}})
    assert await times(7, lambda: street.ask("/api/v1/cart")) == [200] * 6 + [429]
    assert await times(3, lambda: street.ask("/api/v1/cart", "anna")) == [200, 200, 429]


async def test_an_ipv6_customer_has_one_count_however_many_addresses():
    street = Street(limits={"all": {"requests": 1, "guests": 1}})
    assert [(await street.ask("/api/v1/cart", client=client)).status for client in ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")] == [200, 429, 200]


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/orders/", "//api/v1/orders", "/api/v1/orders/17/cancel"])
async def test_no_spelling_of_a_path_escapes_its_limit(path: str):
    street = Street(limits={"orders": NARROW})
    assert await times(4, lambda: street.ask(path, "anna")) == [200, 200, 200, 429]


async def test_tiers_are_for_programs_alone_and_count_all_of_a_persons():
    street = Street(limits={"free": {"requests": 2}, "premium": {"requests": 3}})
    assert await times(3, lambda: street.ask("/api/v1/products", "robot")) == [200, 200, 429]
    assert await times(4, lambda: street.ask("/api/v1/products", "engine")) == [200, 200, 200, 429]
    assert await times(9, lambda: street.ask("/api/v1/products", "anna")) == [200] * 9
    assert await times(9, lambda: street.ask("/products/17", "robot")) == [200] * 9
    assert (await street.ask("/api/v1/products", headers=[("x-api-key", "robot")])).status == 429


async def test_a_session_of_the_shops_own_pages_is_recognised_by_its_cookie():
    street = Street(limits={"all": {"requests": 1}})
    for cookie in ("language=ru; session=anna", 'session="boris"'):
        assert (await street.ask("/api/v1/cart", headers=[("cookie", cookie)])).status == 200
        assert (await street.ask("/api/v1/cart", headers=[("cookie", cookie)])).status == 429


async def test_a_refusal_says_what_of_and_when_to_come_back_and_that_holds():
    street = Street(limits={"orders": NARROW})
    for _ in range(3):
        await street.ask("/api/v1/orders", "anna")
    refused = await street.ask("/api/v1/orders", "anna")
    assert (refused.status, refused.code, refused.headers["retry-after"], refused.headers["content-type"]) == (
        429, "limit.exceeded", "20", "application/problem+json",
    )  # fmt: skip
    assert (refused.headers["ratelimit-policy"], refused.headers["ratelimit"]) == ('"orders";q=3;w=60', '"orders";r=0;t=20')
    assert b"orders: 3 requests in 60 s at most; the next one passes in 20 s" in refused.body
    street.hands.now += 19
    assert (await street.ask("/api/v1/orders", "anna")).status == 429
    street.hands.now += 1
    assert (await street.ask("/api/v1/orders", "anna")).status == 200


async def test_an_answer_tells_where_its_caller_stands():
    street = Street()
    told = (await street.ask("/api/v1/products/17", "anna")).headers
    assert told["ratelimit-policy"] == '"all";q=1000;w=60, "products";q=500;w=60'
    assert told["ratelimit"] == '"all";r=999;t=120, "products";r=499;t=1'
    assert "ratelimit" not in (await street.ask("/", "anna")).headers


async def test_a_flood_from_one_address_leaves_checkout_and_webhooks_alone():
    street = Street(limits={"address": {"requests": 2}, "all": {"requests": 4}})
    assert await times(3, lambda: street.ask("/products/17")) == [200, 200, 429]
    assert await times(3, lambda: street.ask("/api/v1/products", "anna")) == [429] * 3
    assert await times(4, lambda: street.ask("/api/v1/orders", "anna", "POST")) == [200] * 4
    assert await times(20, lambda: street.ask("/api/v1/payments/webhooks/sandbox", method="POST")) == [200] * 20
    assert await times(3, lambda: street.ask("/checkout", "anna", "POST")) == [200] * 3


async def test_made_up_tokens_are_not_looked_at_once_an_address_has_asked_too_often():
    street = Street(limits={"address": {"requests": 3}})
    assert await times(6, lambda: street.ask("/api/v1/wallet", new_id())) == [200] * 3 + [429] * 3
    assert len(street.asked) == 3


async def test_whose_a_token_is_is_asked_once():
    street = Street()
    await times(5, lambda: street.ask("/api/v1/wallet", "anna"))
    assert street.asked == ["anna"]


async def test_a_person_has_so_many_requests_under_way_and_no_more():
    street = Street(bounds={"requests_per_person": 2})
    street.door.clear()
    waiting = [asyncio.create_task(street.ask("/api/v1/orders", "anna")) for _ in range(2)]
    await asyncio.sleep(0)
    refused = await street.ask("/api/v1/orders", "anna")
    assert (refused.status, refused.code) == (429, "requests.too_many_at_once")
    others = asyncio.create_task(street.ask("/api/v1/orders", "boris"))
    street.door.set()
    assert [(await asking).status for asking in (*waiting, others)] == [200] * 3
    assert (await street.ask("/api/v1/orders", "anna")).status == 200


async def test_a_persons_programs_keep_them_out_of_nothing():
    """All programs together have as many requests under way, and the person as many besides."""
    street = Street(bounds={"requests_per_person": 2})
    street.door.clear()
    streams = [asyncio.create_task(street.ask("/api/v1/notifications/stream", robot)) for robot in ("robot", "engine")]
    await asyncio.sleep(0)
    assert (await street.ask("/api/v1/orders", "robot")).code == "requests.too_many_at_once"
    theirs = asyncio.create_task(street.ask("/api/v1/orders", "vera"))
    await asyncio.sleep(0)
    street.door.set()
    assert [(await asking).status for asking in (*streams, theirs)] == [200] * 3


async def test_a_leaky_bucket_makes_requests_wait_for_their_turn():
    leaky = {"algorithm": "leaky bucket", "requests": 100, "seconds": 1, "burst": 2, "paths": ["/api/v1/wallet"]}
    street = Street(limits={"slow": leaky})
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await times(3, lambda: street.ask("/api/v1/wallet", "anna")) == [200] * 3
    assert loop.time() - began >= 0.03  # by the street's clock no time has passed: the third waited 0.02 s, the second 0.01


async def test_two_gateways_on_one_redis_let_in_what_one_would(redis_url: str):
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        gateways = [Street(RedisLimiter(redis, new_id()), limits={"orders": {"requests": 20, "burst": 20}}) for redis in (one, two)]
        answers = await asyncio.gather(*(gateways[number % 2].ask("/api/v1/orders", "anna") for number in range(60)))
    assert sorted(answer.status for answer in answers) == [200] * 20 + [429] * 40


async def test_two_gateways_on_one_redis_have_under_way_what_one_would(redis_url: str):
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        gateways = [Street(RedisLimiter(redis, new_id()), bounds={"requests_per_person": 5}) for redis in (one, two)]
        for gateway in gateways:
            gateway.door.clear()
        asking = [asyncio.create_task(gateways[number % 2].ask("/api/v1/orders", "anna")) for number in range(20)]
        await until(lambda: sum(asked.done() for asked in asking) == 15, "fifteen are refused")
        assert sum(len(gateway.inside) for gateway in gateways) == 5
        for gateway in gateways:
            gateway.door.set()
        answers = await asyncio.gather(*asking)
    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 15


@asynccontextmanager
async def away(hangs: bool) -> AsyncIterator[str]:
    """The address of a Redis that does not answer."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    port = free_port()
    async with AsyncExitStack() as stack:
        if hangs:
            await stack.enter_async_context(await asyncio.start_server(hang, "127.0.0.1", port))
        yield f"redis://127.0.0.1:{port}/0"


@pytest.mark.parametrize("hangs", [False, True], ids=["not there", "hangs"])
async def test_without_redis_people_look_around_and_nobody_signs_in(hangs: bool):
    async with away(hangs) as url, asyncio.timeout(60):
        redis = Redis(url)
        limiter = RedisLimiter(redis, new_id())
        street = Street(limiter)
        assert (await street.ask("/api/v1/products")).status == 200
        assert await asyncio.gather(*(times(5, lambda: street.ask("/api/v1/orders", "anna", "POST")) for _ in range(10))) == [[200] * 5] * 10
        for path in ("/api/v1/sessions", "/sign-in", "/register"):
            refused = await street.ask(path, method="POST")
            assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "limits.unavailable", "1")
        assert (await street.ask("/sign-in")).status == 200
        await redis.close()
