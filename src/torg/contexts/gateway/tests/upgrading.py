"""A gateway before a chat, and what opens a WebSocket there byte by byte."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from hashlib import sha1
from typing import Any

import aiohttp

from torg.contexts.gateway.adapters.services_http import Beside, Services
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.paths import tree
from torg.contexts.gateway.model.services import Service
from torg.contexts.gateway.model.websocket import GUID
from torg.contexts.gateway.tests.chat import Chat, chatting
from torg.contexts.gateway.tests.fronting import listening, nothing_here, speaking, unhurried
from torg.kit import values

KEY = b64encode(bytes(16))
OPENING = {
    b"host": b"shop.test", b"connection": b"Upgrade", b"upgrade": b"websocket", b"sec-websocket-version": b"13", b"sec-websocket-key": KEY,
}  # fmt: skip
ACCEPT = b64encode(sha1(KEY + GUID, usedforsecurity=False).digest())
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"


@asynccontextmanager
async def fronted(*places: str, rows: Mapping[str, Row] | None = None, **service: Any) -> AsyncIterator[tuple[aiohttp.ClientSession, Services]]:
    services = Services({"chat": Service(places, **service)}, values.utc_now, values.new_id, values.randomness, unhurried(), 64)
    paths = tree({"/": Row("web"), "/chat": Row("chat", upgrade=True, timeout=5), "/plain": Row("chat"), **(rows or {})})
    async with listening(Beside(nothing_here, services, paths)) as address, aiohttp.ClientSession(f"http://{address}") as browser:
        yield browser, services
        await services.end()
    await services.close()


@asynccontextmanager
async def both(chat: Chat, **service: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with chatting(chat) as place, fronted(place, **service) as (browser, _), asyncio.timeout(60):
        yield browser


def port_of(browser: aiohttp.ClientSession) -> int:
    assert browser._base_url is not None
    return browser._base_url.port or 0


def opening(**other: bytes | None) -> bytes:
    headers = OPENING | {name.replace("_", "-").encode(): value for name, value in other.items() if name != "line"}
    lines = [other.get("line") or b"GET /chat HTTP/1.1", *(b"%b: %b" % (name, value) for name, value in headers.items() if value is not None)]
    return b"\r\n".join([line for line in lines if line]) + b"\r\n\r\n"


async def said(port: int, sent: bytes) -> bytes:
    """What is answered until the other end hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that says just this, and what it hears."""
    heard = list[bytes]()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        while piece := await reader.read(1000):
            heard.append(piece)

    async with speaking(1, say) as (place,):
        yield place, heard


async def still_there(socket: aiohttp.ClientWebSocketResponse) -> bool:
    try:
        await socket.send_str("still?")
        return bool((await socket.receive(timeout=60)).data == "still?")
    except (aiohttp.ClientError, ConnectionError):
        return False
