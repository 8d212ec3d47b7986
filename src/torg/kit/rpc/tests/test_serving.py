"""The server of a context's process, asked by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from torg.kit.ports import free_port
from torg.kit.rpc.bounds import Bounds
from torg.kit.rpc.serving import Serving
from torg.kit.testing.waiting import until


class Echo:
    """Answers with what it was asked; by /path otherwise."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.left, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await getattr(self, scope["path"].strip("/") or "echo", self.echo)(receive, send)

    async def echo(self, receive: Any, send: Any) -> None:
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        await self._answer(send, body)

    async def early(self, _: Any, send: Any) -> None:
        await self._answer(send, b"enough", 413)

    async def pieces(self, _: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def endless(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            continue
        self.left.set()

    async def slow(self, _: Any, send: Any) -> None:
        await self.go.wait()
        await self._answer(send, b"at last")

    async def nothing(self, _: Any, send: Any) -> None:
        await self._answer(send, b"", 204)

    async def defect(self, _: Any, __: Any) -> None:
        raise ZeroDivisionError("on purpose")

    async def _answer(self, send: Any, body: bytes, status: int = 200) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-kind", b"echo")]})
        await send({"type": "http.response.body", "body": body})


class Client:
    """Speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self) -> tuple[int, dict[bytes, bytes], bytes]:
        async with asyncio.timeout(60):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines[1:] if line)
            status = int(lines[0].split()[1])
            if headers.get(b"transfer-encoding") == b"chunked":
                return status, headers, await self._chunks()
            return status, headers, await self.reader.readexactly(int(headers.get(b"content-length", b"0")))

    async def _chunks(self) -> bytes:
        body = b""
        while size := int((await self.reader.readline()).strip(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def ended(self) -> bool:
        try:
            async with asyncio.timeout(60):
                return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@asynccontextmanager
async def served(echo: Echo) -> AsyncIterator[tuple[Serving, int]]:
    port = free_port()
    serving = Serving(echo, "127.0.0.1", port)
    await serving.start()
    try:
        yield serving, port
    finally:
        await serving.stop(0.1)


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def test_requests_of_one_connection_are_answered_one_after_the_other(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        for body in (b"", b"one", b"x" * 1_000_000):
            await asks.say(b"POST /a%20b?q=%41 HTTP/1.1\r\nHost: x\r\nX-Mine: 1\r\n" + b"content-length: %d\r\n\r\n%b" % (len(body), body))
            assert (await asks.hears())[::2] == (200, body)
    scope = echo.scopes[0]
    assert (scope["method"], scope["path"], scope["raw_path"], scope["query_string"]) == ("POST", "/a b", b"/a%20b", b"q=%41")
    assert (scope["headers"][:2], scope["client"][0]) == ([(b"host", b"x"), (b"x-mine", b"1")], "127.0.0.1")


async def test_a_body_may_come_in_chunks_and_a_request_byte_by_byte(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        for byte in b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n":
            await asks.say(bytes([byte]))
        assert (await asks.hears())[::2] == (200, b"onetwo")


async def test_requests_that_come_before_their_turn_wait_for_it(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        await asks.say(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n" + b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n2" * 3)
        await until(lambda: echo.scopes)
        await asyncio.sleep(0.05)
        assert len(echo.scopes) == 1
        echo.go.set()
        assert [(await asks.hears())[2] for _ in range(4)] == [b"at last", b"2", b"2", b"2"]


async def test_an_answer_in_pieces_says_where_it_ends(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        for _ in range(2):
            await asks.say(b"GET /pieces HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await asks.hears())[2] == b"onetwo"
        await asks.say(b"GET /pieces HTTP/1.0\r\n\r\n")
        head = await asks.reader.readuntil(b"\r\n\r\n")
        assert b"connection: close" in head
        assert b"chunked" not in head
        assert await asks.reader.read() == b"onetwo"


@pytest.mark.parametrize(("method", "path"), [(b"HEAD", b"/"), (b"HEAD", b"/pieces"), (b"GET", b"/nothing")])
async def test_answers_without_a_body_have_none(echo: Echo, method: bytes, path: bytes):
    async with served(echo) as (_, port), client(port) as asks:
        await asks.say(method + b" " + path + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        await asks.reader.readuntil(b"\r\n\r\n")
        await asks.say(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nnext")
        assert (await asks.hears())[2] == b"next"


async def test_an_answer_before_the_end_of_its_body_is_seen_and_the_connection_goes_on(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        for _ in range(2):
            await asks.say(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n")
            for _ in range(30):
                await asks.say(b"x" * 100_000)
            assert (await asks.hears())[::2] == (413, b"enough")


async def test_a_client_that_leaves_is_noticed(echo: Echo):
    async with served(echo) as (_, port):
        async with client(port) as asks:
            await asks.say(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            await asks.reader.readuntil(b"x")
        async with asyncio.timeout(60):
            await echo.left.wait()


@pytest.mark.parametrize("words", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * Bounds().head_bytes * 2, b"\x16\x03\x01" * 10])
async def test_what_is_no_request_is_refused(echo: Echo, words: bytes):
    async with served(echo) as (_, port), client(port) as asks:
        await asks.say(words)
        assert (await asks.hears())[0] in (400, 431)
        assert await asks.ended()
    assert not echo.scopes


async def test_a_defect_ends_the_connection_and_nothing_else(echo: Echo):
    async with served(echo) as (_, port):
        async with client(port) as asks:
            await asks.say(b"GET /defect HTTP/1.1\r\nhost: x\r\n\r\n")
            assert await asks.ended()
        async with client(port) as asks:
            await asks.say(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await asks.hears())[0] == 200


async def test_whoever_asks_for_the_end_gets_it(echo: Echo):
    async with served(echo) as (_, port), client(port) as asks:
        await asks.say(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert (await asks.hears())[1][b"connection"] == b"close"
        assert await asks.ended()


async def test_the_end_waits_for_answers_under_way_and_for_nobody_else(echo: Echo):
    async with served(echo) as (serving, port), client(port) as idle, client(port) as asks:
        await idle.say(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await idle.hears()
        await asks.say(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: len(echo.scopes) == 2)
        stopping = asyncio.ensure_future(serving.stop(60))
        assert await idle.ended()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)
        echo.go.set()
        assert (await asks.hears())[2] == b"at last"
        assert await asks.ended()
        assert await stopping


async def test_whoever_takes_too_long_is_cut_off(echo: Echo):
    async with served(echo) as (serving, port), client(port) as asks:
        await asks.say(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        await until(lambda: echo.scopes)
        assert not await serving.stop(0.1)
        assert await asks.ended()
