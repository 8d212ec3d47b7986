"""Contexts that are away, slow or overloaded, behind a gateway on real ports."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from torg.contexts.gateway.adapters.proxy_http import Tail
from torg.contexts.gateway.tests.fronting import (
    Context,
    answer,
    both,
    fronted,
    gateway,
    hanging_up,
    lines_of,
    listen_and_say_nothing,
    process,
    routed,
    speaking,
    status_of,
)
from torg.kit.chain import ends
from torg.kit.http.admission import Admission, Urgency
from torg.kit.ports import free_port
from torg.kit.testing.waiting import until


async def test_a_context_that_is_away_is_said_to_be():
    async with gateway(f"127.0.0.1:{free_port()}") as browser:
        async with browser.get("/api/v1/products") as reply:
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            problem = await reply.json()
        assert (problem["code"], problem["instance"]) == ("service.unavailable", reply.headers["x-request-id"])


async def test_of_two_instances_the_one_that_lives_answers_whatever_is_asked(context: Context):
    async with process(context) as address, gateway(f"127.0.0.1:{free_port()}", address) as browser:
        for _ in range(30):
            async with browser.post("/api/v1/products", data=b"123") as reply:
                assert (reply.status, await reply.read()) == (200, b"3")
    assert len(context.asked) == 30


async def test_an_answer_that_breaks_off_is_not_taken_for_whole(context: Context):
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
        await writer.drain()

    async with speaking(1, break_off) as places, gateway(*places) as browser:
        with pytest.raises(aiohttp.ClientError):
            async with browser.get("/api/v1/products") as reply:
                await reply.read()


async def test_a_page_is_asked_for_again_when_its_connection_broke_and_an_order_is_not():
    async with hanging_up(1) as (places, heard), gateway(*places) as browser:
        async with browser.get("/api/v1/products") as reply:
            assert reply.status == 503
        assert len(heard) == 3
        async with browser.post("/api/v1/products", data=b"1") as reply:
            assert reply.status == 503
        assert len(heard) == 4


async def test_only_a_part_of_what_broke_is_asked_again():
    async with hanging_up(8) as (places, heard), gateway(*places) as browser:  # so many that no breaker opens before the budget is spent
        for _ in range(12):
            async with browser.get("/api/v1/products") as reply:
                assert reply.status == 503
    assert len(heard) <= 12 + 11, "ten, and a tenth of all requests"


async def test_a_refusal_for_overload_is_passed_on_and_not_asked_again(context: Context):
    async def refuse(_: Any, __: Any, send: Any) -> None:
        await answer(send, b"{}", 503, [(b"retry-after", b"2")])

    context.answers = refuse
    async with both(context) as browser, browser.get("/api/v1/products") as reply:
        assert (reply.status, reply.headers["retry-after"]) == (503, "2")
    assert len(context.asked) == 1


class Crowded(Admission):
    """A door at which nobody but those at the checkout gets in."""

    def begins(self, urgency: Urgency) -> bool:
        return urgency <= Urgency.CHECKOUT and super().begins(urgency)

    async def admits(self, urgency: Urgency) -> bool:
        return False


async def test_a_gateway_that_has_too_much_to_do_refuses_the_less_urgent_itself(context: Context):
    door = Crowded.of_this_loop()
    async with process(context) as address, fronted(address, door=door) as (browser, _):
        async with browser.get("/api/v1/products") as reply:
            assert (reply.status, reply.headers["retry-after"], (await reply.json())["code"]) == (503, "2", "service.overloaded")
        async with browser.post("/api/v1/orders", data=b"12345") as reply:
            assert (reply.status, await reply.read()) == (200, b"5")
    assert [scope["path"] for scope in context.asked] == ["/api/v1/orders"]
    assert door.under_way == 0


async def test_a_stream_takes_nobodys_place(context: Context):
    async def tell(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            continue

    context.answers, door = tell, Admission.of_this_loop()
    async with process(context) as address, fronted(address, door=door) as (browser, _), browser.get("/api/v1/products") as reply:
        assert [line async for line in lines_of(reply, 1)] == [b"data: 1\n"]
        assert door.under_way == 0


async def test_a_process_that_does_not_even_say_that_it_lives_is_not_waited_for():
    came = 0

    async def count_and_say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal came
        came += 1
        await listen_and_say_nothing(reader, writer)

    async with speaking(1, count_and_say_nothing) as places, gateway(*places, slow=0.05) as browser, asyncio.timeout(60):

        async def told(body: bytes = b"") -> int:
            async with browser.request("POST" if body else "GET", "/api/v1/products", data=body) as reply:
                assert reply.headers["retry-after"] == "1"
                return reply.status

        assert set(await asyncio.gather(*(told(body) for body in (b"", b"", b"x" * 100, b"x" * 100_000, b"x" * 1_000_000)))) == {503}
        before = came
        assert before >= 5
        assert await told() == 503
        assert came == before, "it has failed five times: it is left alone"


async def test_a_process_that_lives_may_take_its_time(context: Context):
    async def dawdle(scope: Any, _: Any, send: Any) -> None:
        await asyncio.sleep(0 if scope["path"] == "/health" else 0.3)
        await answer(send, b"at last")

    context.answers = dawdle
    async with process(context) as address, gateway(address, slow=0.05) as browser, browser.get("/api/v1/products") as reply:
        assert (reply.status, await reply.read()) == (200, b"at last")
    assert [scope["path"] for scope in context.asked].count("/health") >= 2


async def test_a_slow_context_takes_only_its_own_share_of_the_gateway(context: Context):
    opened = asyncio.Event()

    async def hang(_: Any, __: Any, send: Any) -> None:
        await opened.wait()
        await answer(send, b"at last")

    slow = Context()
    slow.answers = hang
    async with process(slow) as there, process(context) as here, routed({"slow": [there], "quick": [here]}, most=8) as browser:
        waiting = [asyncio.ensure_future(status_of(browser, "/slow/1")) for _ in range(8)]
        await until(lambda: len(slow.asked) >= 8)
        async with browser.get("/slow/1") as reply:
            assert (reply.status, reply.headers["retry-after"], (await reply.json())["code"]) == (503, "1", "service.overloaded")
        assert {await status_of(browser, "/quick/1") for _ in range(20)} == {200}
        urgent = asyncio.ensure_future(status_of(browser, "/urgent/1"))
        await until(lambda: len(slow.asked) >= 9)
        opened.set()
        assert {*await asyncio.gather(*waiting), await urgent} == {200}
        assert await status_of(browser, "/slow/1") == 200, "there is room again"


async def test_a_hundred_back_ends_that_hang_open_their_breakers_and_leave_other_routes_alone(context: Context):
    async with speaking(100, listen_and_say_nothing) as silent, process(context) as here, asyncio.timeout(60), AsyncExitStack() as stack:
        places = {f"slow{number}": [place] for number, place in enumerate(silent)}
        browser = await stack.enter_async_context(routed({"quick": [here], **places}, most=64, slow=0.1, timeout=0.3))
        few = asyncio.Semaphore(50)

        async def ask(name: str) -> int:
            async with few:
                return await status_of(browser, f"/{name}/1")

        flood = [asyncio.ensure_future(ask(name)) for name in places for _ in range(5)]
        meanwhile = 0
        for _ in range(50):
            assert await status_of(browser, "/quick/1") == 200
            meanwhile += not all(one.done() for one in flood)
        assert meanwhile > 5, "asked while the others hung"
        assert set(await asyncio.gather(*flood)) == {503}
        for name, (place,) in places.items():
            while not REGISTRY.get_sample_value("torg_rpc_breaker_open", {"context": name, "address": place}):
                assert await ask(name) == 503, "a busy machine's gateway may have refused one of the five itself"
        assert await status_of(browser, "/quick/1") == 200


async def test_what_a_context_can_no_longer_answer_in_time_it_gives_up(context: Context):
    given_up = asyncio.Event()

    async def dawdle(_: Any, __: Any, ___: Any) -> None:
        try:
            seen.append(ends.get() - time.monotonic())
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            given_up.set()
            raise

    seen: list[float] = []
    context.answers = dawdle
    async with (
        process(context) as address,
        routed({"catalog": [address]}, timeout=1.5) as browser,
        browser.get("/catalog", headers={"torg-within": "9000"}) as reply,
    ):
        assert (reply.status, reply.headers["retry-after"], (await reply.json())["code"]) == (503, "1", "service.unavailable")
    await until(given_up.is_set)
    assert len(seen) == 1
    assert 0 < seen[0] <= 1.5, "what a client says of it counts for nothing"


async def test_an_answer_that_has_begun_in_time_may_take_longer(context: Context):
    async def tell(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await asyncio.sleep(1.5)
        await send({"type": "http.response.body", "body": b"last"})

    context.answers = tell
    async with process(context) as address, routed({"catalog": [address]}, timeout=1) as browser, browser.get("/catalog") as reply:
        assert await reply.read() == b"first last"


async def test_a_slow_read_is_asked_of_a_second_instance_and_the_first_answer_counts(context: Context):
    given_up = asyncio.Event()

    async def dawdle(_: Any, receive: Any, __: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        given_up.set()

    slow = Context()
    slow.answers = dawdle
    async with process(slow) as there, process(context) as here, routed({"catalog": [there, here]}, hedge=0.05) as browser, asyncio.timeout(60):
        while not slow.asked:  # some go there first
            assert await status_of(browser, "/catalog") == 200
        await given_up.wait()
        orders = [asyncio.ensure_future(status_of(browser, "/catalog", "POST")) for _ in range(10)]
        asked = len(slow.asked) + len(context.asked)
        await asyncio.sleep(0.3)
        assert len(slow.asked) + len(context.asked) <= asked + 10, "what is no read is asked of one alone"
        for order in orders:
            order.cancel()
        await asyncio.gather(*orders, return_exceptions=True)


async def test_second_instances_are_asked_within_the_budget_of_what_is_asked_again():
    opened = asyncio.Event()

    async def hang(_: Any, __: Any, send: Any) -> None:
        await opened.wait()
        await answer(send, b"at last")

    both = [Context(), Context()]
    for one in both:
        one.answers = hang
    async with process(both[0]) as there, process(both[1]) as here, routed({"catalog": [there, here]}, hedge=0.02) as browser, asyncio.timeout(60):
        waiting = [asyncio.ensure_future(status_of(browser, "/catalog")) for _ in range(40)]
        await until(lambda: sum(len(context.asked) for context in both) >= 50)
        await asyncio.sleep(0.2)
        opened.set()
        assert set(await asyncio.gather(*waiting)) == {200}
    assert sum(len(context.asked) for context in both) <= 40 + 14, "ten, and a tenth of all requests"


def test_the_slowest_twentieth_is_about_where_it_is_guessed():
    random, tail = Random(3), Tail()
    for _ in range(20_000):
        tail.add(random.expovariate(10))
    assert 0.22 < tail.seconds < 0.4, "the 95th percentile is 0.3"
