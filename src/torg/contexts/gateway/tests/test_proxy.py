"""What passes the gateway on its way to a context and back, on real ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from opentelemetry.sdk.trace import TracerProvider

from torg.contexts.gateway.tests.fronting import Context, answer, both, fronted, lines_of, process
from torg.kit import telemetry
from torg.kit.rpc.breaker import FAILURES
from torg.kit.rpc.tests.test_strangers import BROKEN_OFF, NEXT, TWICE_READ, say


async def test_a_request_arrives_as_it_was_sent(context: Context):
    async with both(context) as browser:
        headers = {"accept-language": "ru", "cookie": "a=b; c=d"}
        async with browser.put("/api/v1/products/a%2Fb?q=%D1%88&x=1", data=b"12345", headers=headers) as reply:
            assert (reply.status, await reply.read()) == (200, b"5")
    scope = context.asked[0]
    assert (scope["method"], scope["raw_path"], scope["query_string"]) == ("PUT", b"/api/v1/products/a%2Fb", b"q=%D1%88&x=1")
    assert (context.headers[b"accept-language"], context.headers[b"cookie"]) == (b"ru", b"a=b; c=d")


async def test_who_asks_and_under_which_id_is_told_by_the_gateway_alone(context: Context):
    lies = {"x-forwarded-for": "1.2.3.4", "x-forwarded-proto": "https", "x-request-id": "mine", "torg-gateway": "9999999999.abc", "forwarded": "for=1.2.3.4"}
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with both(context) as browser, browser.get("/api/v1/products", headers={**lies, "traceparent": trace}) as reply:
        assert reply.status == 200
    scope = context.asked[0]
    assert (scope["client"][0], scope["scheme"]) == ("127.0.0.1", "http")
    assert scope["torg.request_id"] != "mine"
    assert context.headers[b"traceparent"] == trace.encode()
    assert [name for name, _ in scope["headers"]].count(b"x-forwarded-for") == 1


@pytest.mark.parametrize(
    "trace", ["nonsense", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-zz", "00-0af7651916cd43dd8448eb211c80319c-4242424242424242-01"]
)
@pytest.mark.parametrize("tracing", [False, True])
async def test_a_trace_that_is_none_goes_no_further_and_does_no_harm(context: Context, trace: str, tracing: bool):
    telemetry.use_tracer(TracerProvider().get_tracer("test") if tracing else None)
    try:
        async with both(context) as browser, browser.get("/api/v1/products", headers={"traceparent": trace}) as reply:
            assert reply.status == 200
    finally:
        telemetry.use_tracer(None)
    assert trace.encode() != context.headers.get(b"traceparent")


async def test_what_is_said_of_a_connection_goes_no_further(context: Context):
    async def speak(_: Any, __: Any, send: Any) -> None:
        await answer(send, b"x", headers=[(b"keep-alive", b"timeout=5"), (b"x-kept", b"1"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])

    context.answers = speak
    async with both(context) as browser:
        asked = {"connection": "keep-alive, x-mine", "x-mine": "1", "te": "trailers", "x-yours": "2"}
        async with browser.get("/api/v1/products", headers=asked) as reply:
            assert (reply.headers["x-kept"], "keep-alive" in reply.headers) == ("1", False)
            assert reply.headers.getall("set-cookie") == ["a=1", "b=2"]
    assert (context.headers.get(b"x-yours"), context.headers.get(b"x-mine"), context.headers.get(b"te")) == (b"2", None, None)


@pytest.mark.parametrize("listed", ["content-length", "Content-Length, host", "close, content-length", "host"])
async def test_no_body_becomes_a_request_for_what_is_said_of_a_connection(context: Context, listed: str):
    smuggled = b"GET /api/v1/products/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    async with both(context) as browser:
        for _ in range(FAILURES + 1):
            async with browser.post("/api/v1/products", data=smuggled, headers={"connection": listed}) as reply:
                assert (reply.status, await reply.read()) == (200, b"%d" % len(smuggled))
            async with browser.get("/api/v1/products/next") as reply:
                assert (reply.status, await reply.read()) == (200, b"0")
    assert {scope["path"] for scope in context.asked} == {"/api/v1/products", "/api/v1/products/next"}
    assert context.headers[b"host"].startswith(b"127.0.0.1")


@pytest.mark.parametrize("known", [True, False], ids=["of known length", "in chunks"])
async def test_a_long_upload_streams_through(context: Context, known: bool):
    async def much() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 100_000

    async with both(context) as browser:
        headers = {"content-length": str(300 * 100_000)} if known else {}
        async with browser.post("/api/v1/products/import", data=much(), headers=headers) as reply:
            assert await reply.read() == b"30000000"


async def test_a_body_that_is_refused_half_way_is_answered_and_the_next_request_too(context: Context):
    async def refuse(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await answer(send, b"too large", 413)

    async def much() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000
            await asyncio.sleep(0.01)

    async with both(context) as browser:
        context.answers = refuse
        async with browser.post("/api/v1/products/import", data=much()) as reply:
            assert (reply.status, await reply.read()) == (413, b"too large")
        context.answers = context.echo
        for _ in range(5):
            async with browser.post("/api/v1/products", data=b"123") as reply:
                assert await reply.read() == b"3"


async def test_a_client_that_says_everything_first_sees_why_it_was_refused(context: Context):
    async def refuse(_: Any, __: Any, send: Any) -> None:
        await answer(send, b"too large", 413)

    context.answers = refuse
    async with both(context) as browser:
        assert browser._base_url is not None
        reader, writer = await asyncio.open_connection(browser._base_url.host, browser._base_url.port)
        writer.write(b"POST /api/v1/products/import HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n")
        for _ in range(50):
            writer.write(b"x" * 100_000)
            await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        writer.close()
        await writer.wait_closed()


async def test_a_client_that_goes_away_half_way_is_not_waited_for(context: Context):
    async def listen(_: Any, receive: Any, __: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        context.left.set()

    context.answers = listen
    async with both(context) as browser:
        assert browser._base_url is not None
        _, writer = await asyncio.open_connection(browser._base_url.host, browser._base_url.port)
        writer.write(b"POST /api/v1/products/import HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n" + b"x" * 1_000_000)
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(60):
            await context.left.wait()


async def test_large_answers_one_after_the_other_hold_nothing_up(context: Context):
    async def much(scope: Any, _: Any, send: Any) -> None:
        await answer(send, b"x" * int(scope["query_string"]))

    context.answers = much
    async with both(context) as browser, asyncio.timeout(60):
        for size in (*range(250_000, 275_000, 1_000), 1_000_000, 10, 3_000_000, 10):
            async with browser.get(f"/api/v1/products?{size}") as reply:
                assert len(await reply.read()) == size


async def test_events_come_through_one_by_one_and_end_with_their_reader(context: Context):
    async def tell(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        for number in range(10_000):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            try:
                async with asyncio.timeout(0.05):
                    while (await receive())["type"] != "http.disconnect":
                        continue
            except TimeoutError:
                continue
            context.left.set()
            return

    context.answers = tell
    async with both(context) as browser:
        async with asyncio.timeout(60):  # all that it has to tell takes eight minutes
            async with browser.get("/api/v1/products") as reply:
                lines = [line async for line in lines_of(reply, 3)]
            assert lines == [b"data: 0\n", b"data: 1\n", b"data: 2\n"]
            await context.left.wait()


async def test_a_gateway_that_closes_ends_streams_and_lets_other_answers_come_to_their_end(context: Context):
    async def tell(scope: Any, _: Any, send: Any) -> None:
        endless = scope["query_string"] == b"endless"
        media = b"text/event-stream" if endless else b"text/plain"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", media)]})
        await send({"type": "http.response.body", "body": b"first ", "more_body": True})
        await (asyncio.Event().wait() if endless else closed.wait())
        await send({"type": "http.response.body", "body": b"last"})

    context.answers, closed = tell, asyncio.Event()
    async with (
        process(context) as inside, fronted(inside) as (browser, proxy), asyncio.timeout(60),
        browser.get("/api/v1/products?endless") as stream, browser.get("/api/v1/products") as page,
    ):  # fmt: skip
        await proxy.close()
        assert await stream.read() == b"first "
        closed.set()
        assert await page.read() == b"first last"


async def test_a_long_answer_arrives_whole(context: Context):
    async def much(_: Any, __: Any, send: Any) -> None:
        await answer(send, b"0123456789" * 1_000_000)

    context.answers = much
    async with both(context) as browser, browser.get("/api/v1/products") as reply:
        assert len(await reply.read()) == 10_000_000


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_keep_the_connection_in_order(context: Context, status: int):
    async def bare(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"etag", b'"1"')]})
        await send({"type": "http.response.body", "body": b""})

    async with both(context) as browser:
        for answers in (bare, context.echo, bare, context.echo):
            context.answers = answers
            async with browser.get("/api/v1/products") as reply:
                assert (reply.status, await reply.read()) in ((status, b""), (200, b"0"))
            async with browser.head("/api/v1/products") as reply:
                assert await reply.read() == b""


async def test_nobody_but_the_gateway_gets_in(context: Context):
    async with process(context) as address, aiohttp.ClientSession(f"http://{address}") as browser:
        async with browser.get("/api/v1/products", headers={"x-forwarded-for": "127.0.0.1", "torg-gateway": "9999999999.00"}) as reply:
            assert (reply.status, reply.content_type) == (401, "application/problem+json")
        for path in ("/health", "/ready", "/metrics"):
            async with browser.get(path) as reply:
                assert reply.status == 200
    assert [scope["path"] for scope in context.asked] == ["/health", "/ready", "/metrics"]


async def test_calls_between_processes_do_not_pass_the_gateway(context: Context):
    async with both(context) as browser, browser.post("/rpc/catalog.get_offers", data=b"{}") as reply:
        assert (reply.status, await reply.text()) == (404, "the gateway itself")
    assert not context.asked


@pytest.mark.parametrize("sent", [*TWICE_READ.values(), *BROKEN_OFF.values()], ids=[*TWICE_READ, *BROKEN_OFF])
async def test_no_request_becomes_two_on_its_way_to_a_context(context: Context, sent: bytes):
    inside = (b"/api/v1/products", b"/api/v1/orders/smuggled")
    async with both(context) as browser:
        at = browser._base_url
        assert at is not None
        said = await say(at.port or 0, (sent + NEXT).replace(b"/one", inside[0]).replace(b"/smuggled", inside[1]))
    assert said.startswith(b"HTTP/1.1 400 ")
    assert inside[1].decode() not in [scope["path"] for scope in context.asked]
    assert len(context.asked) <= (sent in BROKEN_OFF.values())


async def test_nothing_is_held_back_in_either_direction(context: Context):
    """Each says its next piece only once the last one has arrived at the other."""
    arrived, answered = [asyncio.Event() for _ in range(3)], [asyncio.Event() for _ in range(3)]

    async def converse(_: Any, receive: Any, send: Any) -> None:
        for number in range(3):
            assert (await receive())["body"] == b"ask %d" % number
            arrived[number].set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"say %d" % number, "more_body": number < 2})
            await answered[number].wait()

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"ask %d" % number
            await arrived[number].wait()

    context.answers = converse
    async with both(context) as browser, asyncio.timeout(60), browser.post("/api/v1/products", data=pieces()) as reply:
        for number in range(3):
            assert await reply.content.readexactly(5) == b"say %d" % number
            answered[number].set()
