"""A gateway on a real port, contexts behind it that answer as they are told to, and a browser before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any, cast

import aiohttp

from torg import topology
from torg.contexts.gateway.adapters.declared_toml import load
from torg.contexts.gateway.adapters.front_asgi import Gateway
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.paths import tree
from torg.kit import values
from torg.kit.http.admission import Admission
from torg.kit.listening import Listening, listens
from torg.kit.messages import Registry
from torg.kit.ports import free_port
from torg.kit.rpc.door import Door
from torg.kit.rpc.fleet import Fleet, join
from torg.kit.rpc.peers import StaticPeers
from torg.kit.rpc.tests.house import listening as serving
from torg.kit.testing.identities import speaking_for, static_keys

SLOW = tuple(f"slow{number}" for number in range(100))
SERVICES = ("gateway", "catalog", "order", "slow", "quick", *SLOW)
PATHS = tree(load("", (*topology.CONTEXTS, topology.SANDBOX)).routes)
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
        listener.stop()
        await running


async def answering(port: int) -> None:
    for _ in range(6000):
        if await listens("127.0.0.1", port):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"nobody listens at {port}")


def joined(*addresses: str) -> Fleet:
    peers = StaticPeers({"catalog": addresses, "order": addresses})
    return join("gateway", ("catalog", "order"), peers, static_keys(SERVICES, ("gateway",)), Registry(()), values.utc_now, Random(7).randbytes)


@asynccontextmanager
async def fronted(*addresses: str, slow: float = 30, door: Admission | None = None) -> AsyncIterator[tuple[aiohttp.ClientSession, Proxy]]:
    """A browser that knows the gateway's address: that listens as it does for the outside world."""
    fleet = joined(*addresses)
    proxy = Proxy(fleet, values.new_id, door or unhurried(), slow)
    async with listening(Gateway(nothing_here, ("gateway",), PATHS, proxy)) as address, aiohttp.ClientSession(f"http://{address}") as browser:
        yield browser, proxy
        await proxy.close()
    await fleet.close()


@asynccontextmanager
async def gateway(*addresses: str, slow: float = 30) -> AsyncIterator[aiohttp.ClientSession]:
    async with fronted(*addresses, slow=slow) as (browser, _):
        yield browser


@asynccontextmanager
async def both(context: Context) -> AsyncIterator[aiohttp.ClientSession]:
    async with process(context) as address, gateway(address) as browser:
        yield browser


@asynccontextmanager
async def process(context: Context, port: int = 0) -> AsyncIterator[str]:
    door = Door(context, nothing_here, speaking_for(*SERVICES[1:], services=SERVICES))
    async with serving(door, port) as address:
        yield address


async def lines_of(reply: aiohttp.ClientResponse, count: int) -> AsyncIterator[bytes]:
    found = 0
    async for line in reply.content:
        if line.strip():
            found += 1
            yield line
        if found == count:
            return


@asynccontextmanager
async def speaking(count: int, speak: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[list[str]]:
    """The addresses of servers that speak no more HTTP than they are told to; at the end all their connections are closed."""
    under_way = set[asyncio.Task[Any]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # they may hang up whenever they like
            await speak(reader, writer)
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()

    servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(count)]
    try:
        yield [f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers]
    finally:
        for server in servers:
            server.close()
            await server.wait_closed()
        async with asyncio.timeout(20):
            await asyncio.gather(*under_way)


async def listen_and_say_nothing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@asynccontextmanager
async def hanging_up(count: int) -> AsyncIterator[tuple[list[str], list[bytes]]]:
    """The addresses of servers that hear requests and hang up, and the heads of these."""
    heard = list[bytes]()

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))

    async with speaking(count, hang_up) as places:
        yield places, heard


def unhurried() -> Admission:
    """A door for which no time passes: nobody is sent away because the machine that tests run on is busy."""
    loop = asyncio.get_running_loop()
    return Admission(loop.call_soon, loop.call_later, lambda: 0.0)


@asynccontextmanager
async def routed(
    places: Mapping[str, Sequence[str]], *, most: int = 512, slow: float = 30, hedge: float = 0, timeout: float = 60
) -> AsyncIterator[aiohttp.ClientSession]:
    """A gateway with a path for each context, which answer at these addresses."""
    fleet = join("gateway", tuple(places), StaticPeers(places), static_keys(places, ("gateway",)), Registry(()), values.utc_now, Random(7).randbytes)
    proxy = Proxy(fleet, values.new_id, unhurried(), slow, most)
    rows = {"/": Row("gateway"), **{f"/{context}": Row(context, timeout=60 if context == "quick" else timeout, hedge=hedge) for context in places}}
    rows["/urgent"] = Row(next(iter(places)), urgency="checkout")
    async with listening(Gateway(nothing_here, ("gateway",), tree(rows), proxy)) as address:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(f"http://{address}", connector=connector) as browser:
            yield browser
        await proxy.close()
    await fleet.close()


async def status_of(browser: aiohttp.ClientSession, path: str, method: str = "GET") -> int:
    async with browser.request(method, path) as reply:
        await reply.read()
        return reply.status
