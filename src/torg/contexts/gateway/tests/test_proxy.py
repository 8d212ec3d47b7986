"""The gateway in front of processes on real ports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import aiohttp
import pytest

from torg.contexts.gateway.adapters.front_asgi import Gateway
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.kit import values
from torg.kit.http.admission import Admission, Urgency
from torg.kit.listening import Listening, listens
from torg.kit.messages import Registry
from torg.kit.rpc.door import Door
from torg.kit.rpc.fleet import Fleet, join
from torg.kit.rpc.peers import StaticPeers
from torg.kit.rpc.signing import Signer
from torg.kit.rpc.tests.house import free_port
from torg.kit.rpc.tests.house import listening as serving

SECRET = b"the fleet's"
Answering = Callable[[Any, Any, Any], Awaitable[None]]


class Context:
    """A context's process: tells what has reached it, and answers as it is told to."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.left = asyncio.Event()
        self.answers: Answering = self.echo

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        await self.answers(scope, receive, send)

    async def echo(self, _: Any, receive: Any, send: Any) -> None:
        size, message = 0, {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            size += len(message.get("body", b""))
        await answer(send, str(size).encode())

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.asked[-1]["headers"])


async def answer(send: Any, body: bytes, status: int = 200, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]})
    await send({"type": "http.response.body", "body": body})


async def nothing_here(_: Any, __: Any, send: Any) -> None:
    await answer(send, b"the gateway itself", 404)


@asynccontextmanager
async def listening(application: Any, port: int = 0) -> AsyncIterator[str]:
    listener = Listening(application, "127.0.0.1", port or (port := free_port()))
    running = asyncio.ensure_future(listener.serve())
    await answering(port)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        listener.stop()  # type: ignore[no-untyped-call]
        await running


async def answering(port: int) -> None:
    for _ in range(500):
        if await listens("127.0.0.1", port):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody listens at {port}")


def joined(*addresses: str) -> Fleet:
    peers = StaticPeers({"catalog": addresses, "order": addresses})
    return join("gateway", ("catalog", "order"), peers, (SECRET,), Registry(()), values.utc_now, lambda count: Random(7).randbytes(count))


@asynccontextmanager
async def fronted(*addresses: str, slow: float = 30, door: Admission | None = None) -> AsyncIterator[tuple[aiohttp.ClientSession, Proxy]]:
    """A browser that knows the gateway's address: that listens as it does for the outside world."""
    fleet = joined(*addresses)
    proxy = Proxy(fleet, values.new_id, door or Admission.of_this_loop(), slow)
    async with listening(Gateway(nothing_here, ("gateway",), proxy)) as address, aiohttp.ClientSession(f"http://{address}") as browser:
        yield browser, proxy
        await proxy.close()
    await fleet.close()


@asynccontextmanager
async def gateway(*addresses: str, slow: float = 30) -> AsyncIterator[aiohttp.ClientSession]:
    async with fronted(*addresses, slow=slow) as (browser, _):
        yield browser


@pytest.fixture
def context() -> Context:
    return Context()


@asynccontextmanager
async def both(context: Context) -> AsyncIterator[aiohttp.ClientSession]:
    async with process(context) as address, gateway(address) as browser:
        yield browser


@asynccontextmanager
async def process(context: Context, port: int = 0) -> AsyncIterator[str]:
    door = Door(context, nothing_here, Signer((SECRET,), b"torg.gateway", values.utc_now))
    async with serving(door, port) as address:
        yield address


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
        async with asyncio.timeout(5):
            await context.left.wait()


async def test_large_answers_one_after_the_other_hold_nothing_up(context: Context):
    async def much(scope: Any, _: Any, send: Any) -> None:
        await answer(send, b"x" * int(scope["query_string"]))

    context.answers = much
    async with both(context) as browser, asyncio.timeout(20):
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
        began = time.monotonic()
        async with browser.get("/api/v1/products") as reply:
            lines = [line async for line in _lines(reply, 3)]
        assert lines == [b"data: 0\n", b"data: 1\n", b"data: 2\n"]
        assert time.monotonic() - began < 3
        async with asyncio.timeout(5):
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
        process(context) as inside, fronted(inside) as (browser, proxy), asyncio.timeout(20),
        browser.get("/api/v1/products?endless") as stream, browser.get("/api/v1/products") as page,
    ):  # fmt: skip
        await proxy.close()
        assert await stream.read() == b"first "
        closed.set()
        assert await page.read() == b"first last"


async def _lines(reply: aiohttp.ClientResponse, count: int) -> AsyncIterator[bytes]:
    found = 0
    async for line in reply.content:
        if line.strip():
            found += 1
            yield line
        if found == count:
            return


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
        writer.close()

    server = await asyncio.start_server(break_off, "127.0.0.1", 0)
    async with gateway(f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as browser:
        with pytest.raises(aiohttp.ClientError):
            async with browser.get("/api/v1/products") as reply:
                await reply.read()
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def hanging_up(count: int) -> AsyncIterator[tuple[list[str], list[bytes]]]:
    """The addresses of servers that hear requests and hang up, and the heads of these."""
    heard = list[bytes]()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    servers = [await asyncio.start_server(hang_up, "127.0.0.1", 0) for _ in range(count)]
    yield [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers], heard
    for server in servers:
        server.close()
        await server.wait_closed()


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
        assert [line async for line in _lines(reply, 1)] == [b"data: 1\n"]
        assert door.under_way == 0


async def test_a_process_that_does_not_even_say_that_it_lives_is_not_waited_for():
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with gateway(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", slow=0.05) as browser, asyncio.timeout(20):

        async def told(body: bytes = b"") -> int:
            async with browser.request("POST" if body else "GET", "/api/v1/products", data=body) as reply:
                assert reply.headers["retry-after"] == "1"
                return reply.status

        assert set(await asyncio.gather(*(told(body) for body in (b"", b"", b"x" * 100, b"x" * 100_000, b"x" * 1_000_000)))) == {503}
        began = time.monotonic()
        assert await told() == 503
        assert time.monotonic() - began < 1, "it has failed five times: it is left alone"
    server.close()
    await server.wait_closed()


async def test_a_process_that_lives_may_take_its_time(context: Context):
    async def dawdle(scope: Any, _: Any, send: Any) -> None:
        await asyncio.sleep(0 if scope["path"] == "/health" else 0.3)
        await answer(send, b"at last")

    context.answers = dawdle
    async with process(context) as address, gateway(address, slow=0.05) as browser, browser.get("/api/v1/products") as reply:
        assert (reply.status, await reply.read()) == (200, b"at last")
    assert [scope["path"] for scope in context.asked].count("/health") >= 2
