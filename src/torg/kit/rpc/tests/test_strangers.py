"""What strangers send: nothing that can be read in two ways is read, nobody stays for being slow, and nobody has all the connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from torg.kit.ports import free_port
from torg.kit.rpc.bounds import Bounds, Crowd
from torg.kit.rpc.serving import GUARDS, Serving
from torg.kit.testing import TestClock

HOST = b"host: torg.test\r\n"
POST = b"POST /one HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
TWICE_READ = {
    "length, then chunks": POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks, then length": POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "the same length twice": POST + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "two lengths": POST + b"content-length: 0\r\ncontent-length: 44\r\n\r\n",
    "a list of lengths": POST + b"content-length: 5, 5\r\n\r\nhello",
    "a length with a plus": POST + b"content-length: +5\r\n\r\nhello",
    "a length below zero": POST + b"content-length: -5\r\n\r\nhello",
    "a length in base sixteen": POST + b"content-length: 0x5\r\n\r\nhello",
    "a length with a space in it": POST + b"content-length: 0 5\r\n\r\nhello",
    "an empty length": POST + b"content-length: \r\n\r\n",
    "a length beyond all numbers": POST + b"content-length: 18446744073709551621\r\n\r\nhello",
    "a length in a folded line": POST + b"content-length:\r\n 5\r\n\r\nhello",
    "a space before the colon": POST + b"content-length : 5\r\n\r\nhello",
    "a tab before the colon": POST + b"transfer-encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks inside of something": POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "something inside of chunks": POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings in two lines": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding behind a vertical tab": POST + b"transfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks before they were invented": b"POST /one HTTP/1.0\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a folded line": b"GET /one HTTP/1.1\r\n" + HOST + b"x: a\r\n b\r\n\r\n",
    "a first header that begins with a space": b"GET /one HTTP/1.1\r\n " + HOST + b"\r\n",
    "lines that end in a line feed alone": b"GET /one HTTP/1.1\nhost: x\n\n",
    "one line that ends in a line feed alone": b"GET /one HTTP/1.1\r\nhost: x\nx: y\r\n\r\n",
    "a carriage return alone": b"GET /one HTTP/1.1\r\nhost: x\rx: y\r\n\r\n",
    "a zero byte in a value": b"GET /one HTTP/1.1\r\n" + HOST + b"x: a\x00b\r\n\r\n",
    "a zero byte in a name": b"GET /one HTTP/1.1\r\n" + HOST + b"x\x00: ab\r\n\r\n",
    "a header without a colon": b"GET /one HTTP/1.1\r\n" + HOST + b"content-length\r\n\r\n",
    "no host": b"GET /one HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /one HTTP/1.1\r\n" + HOST + b"host: other.test\r\n\r\n",
    "a space in the path": b"GET /one HTTP/1.1\r\nx: y /two HTTP/1.1\r\n" + HOST + b" \r\n\r\n",
    "a control character in the path": b"GET /o\x01ne HTTP/1.1\r\n" + HOST + b"\r\n",
    "a version that never was": b"GET /one HTTP/1.2\r\n" + HOST + b"\r\n",
    "the first version": b"GET /one\r\n\r\n",
    "a tunnel": b"CONNECT other.test:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "another protocol, with a body": POST + b"connection: upgrade\r\nupgrade: h2c\r\ncontent-length: 44\r\n\r\n",
    "the second version": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
BROKEN_OFF = {
    "a chunk's size that is none": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
    "a chunk's size below zero": CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size with a prefix": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size beyond all numbers": CHUNKED + b"fffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
    "a chunk's size and a space": CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n",
    "a chunk's line that ends in a line feed alone": CHUNKED + b"5\nhello\r\n0\r\n\r\n",
    "a chunk that ends in a line feed alone": CHUNKED + b"5\r\nhello\n0\r\n\r\n",
    "a line feed in what follows a chunk's size": CHUNKED + b"5;a\nx\r\nhello\r\n0\r\n\r\n",
    "a length behind the last chunk": CHUNKED + b"5\r\nhello\r\n0\r\ncontent-length: 5\r\n\r\n",
}


class Shop:
    """Reads bodies whole, and answers with what it has read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[dict[bytes, bytes]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, message = b"", {"type": "http.request", "more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.request":
            self.asked.append(scope["path"])
            self.headers.append(dict(scope["headers"]))
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x-path", scope["raw_path"])]})
            await send({"type": "http.response.body", "body": b"read " + body})


@asynccontextmanager
async def shop(bounds: Bounds | None = None, crowd: Crowd | None = None) -> AsyncIterator[tuple[Shop, int]]:
    inside, port = Shop(), free_port()
    serving = Serving(inside, "127.0.0.1", port, bounds=bounds, crowd=crowd)
    await serving.start()
    try:
        yield inside, port
    finally:
        await serving.stop(1)


async def say(port: int, *pieces: bytes, pause: float = 0, seconds: float = 60) -> bytes:
    """All that is answered until the other end hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(pause)
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("sent", TWICE_READ.values(), ids=TWICE_READ)
async def test_what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(sent: bytes):
    async with shop() as (inside, port):
        said = await say(port, sent + NEXT)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1 ") == 1
    assert inside.asked == []


@pytest.mark.parametrize("sent", BROKEN_OFF.values(), ids=BROKEN_OFF)
async def test_a_body_that_cannot_be_read_reaches_nobody_and_nothing_after_it_is_read(sent: bytes):
    async with shop() as (inside, port):
        said = await say(port, sent + NEXT)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert inside.asked == []


async def test_trailers_become_nobodys_headers():
    async with shop() as (inside, port):
        said = await say(port, CHUNKED + b"5\r\nhello\r\n0\r\nx-role: admin\r\n\r\n", b"GET /two HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n")
    assert (inside.asked, said.count(b"HTTP/1.1 200")) == (["/one", "/two"], 2)
    assert all(b"x-role" not in headers for headers in inside.headers)


async def test_a_bad_request_is_never_the_answer_to_the_one_before():
    async with shop() as (_, port):
        said = await say(port, POST + b"content-length: 5\r\n\r\nhello" + TWICE_READ["two lengths"])
    assert not said.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        (b"GET http://other.test/one?a=b HTTP/1.1\r\n" + HOST, b"/one"),
        (b"GET /one HTTP/1.1\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAA\r\n" + HOST, b"/one"),
        (b"\r\nGET /one HTTP/1.1\r\n" + HOST, b"/one"),
    ],
)
async def test_unusual_requests_are_answered(sent: bytes, path: bytes):
    async with shop() as (inside, port):
        said = await say(port, sent + b"\r\n", b"GET /two HTTP/1.1\r\nconnection: close\r\n" + HOST + b"\r\n")
    assert b"x-path: " + path + b"\r\n" in said
    assert inside.asked == ["/one", "/two"]
    if b"other.test" in sent:
        assert inside.headers[0][b"host"] == b"other.test"


async def test_who_asks_whether_to_go_on_is_told_to_once_the_body_is_wanted():
    async with shop() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"expect: 100-continue\r\nconnection: close\r\ncontent-length: 5\r\n\r\n")
        async with asyncio.timeout(60):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            assert (await reader.read()).endswith(b"read hello")
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /one HTTP/1.1\r\n" + HOST + b"x: " + b"y" * 2000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * 2000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", b"431"),
        (b"GET /one HTTP/1.1\r\n" + HOST + b"x: y\r\n" * 20 + b"\r\n", b"431"),
        (POST + b"content-length: 5000\r\n\r\n", b"413"),
        (CHUNKED + b"1388\r\n" + b"y" * 5000 + b"\r\n0\r\n\r\n", b"413"),
    ],
)
async def test_too_much_is_refused(sent: bytes, status: bytes):
    async with shop(Bounds(head_bytes=1024, head_count=16, body_bytes=4096)) as (inside, port):
        said = await say(port, sent)
    assert said.split(b" ")[1] == status
    assert GUARDS in said
    assert inside.asked == []


async def test_a_head_that_never_ends_is_waited_for_only_so_long_however_often_something_comes():
    async with shop(Bounds(head_seconds=0.2)) as (_, port):
        said = await say(port, b"GET /one HTTP/1.1\r\n", *([b"x: y\r\n"] * 12), pause=0.05)
    assert said.startswith(b"HTTP/1.1 408") or said == b""


async def test_a_body_that_drips_is_waited_for_only_so_long():
    async with shop(Bounds(body_seconds=0.2, body_rate=1000)) as (inside, port):
        said = await say(port, POST + b"content-length: 1000\r\n\r\n", *([b"y"] * 12), pause=0.05)
    assert said.startswith(b"HTTP/1.1 408") or said == b""
    assert inside.asked == []


async def test_a_body_that_comes_steadily_may_take_its_time():
    async with shop(Bounds(body_seconds=1, body_rate=100)) as (_, port):
        said = await say(port, POST + b"connection: close\r\ncontent-length: 400\r\n\r\n", *([b"y" * 20] * 20), pause=0.1)
    assert said.endswith(b"y" * 400)


async def test_a_slow_application_is_no_slow_client():
    async def slow(_: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.2)
        message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": message["body"]})

    serving = Serving(slow, "127.0.0.1", port := free_port(), bounds=Bounds(head_seconds=0.5, body_seconds=0.5, body_rate=1000, idle_seconds=0.5))
    await serving.start()
    assert (await say(port, POST + b"content-length: 5\r\n\r\nhello")).endswith(b"\r\n\r\nhello")
    await serving.stop(1)


async def test_slow_clients_of_one_address_hold_their_share_and_all_others_are_served():
    crowd = Crowd(40, 30, lambda client: client)
    async with shop(Bounds(head_seconds=60), crowd) as (_, port):
        closing = NEXT.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
        for _, writer in held:
            writer.write(b"GET /one HTTP/1.1\r\nx:")
        for _ in range(1000):
            if (refused := await say(port, closing, pause=0.02)).startswith(b"HTTP/1.1 503"):
                break
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"\r\nretry-after: 1\r\n" in refused
        assert (await elsewhere(port, closing)).startswith(b"HTTP/1.1 200")
        for _, writer in held:
            writer.close()
        for _ in range(1000):
            if (said := await say(port, closing, pause=0.02)).startswith(b"HTTP/1.1 200"):
                break
        assert said.startswith(b"HTTP/1.1 200")


async def elsewhere(port: int, sent: bytes) -> bytes:
    """Asked from another address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
    writer.write(sent)
    async with asyncio.timeout(60):
        said = await reader.read()
    writer.close()
    return said


def test_who_leaves_makes_room():
    crowd = Crowd(3, 2, lambda client: None if client == "proxy" else client)
    assert [crowd.enter(client) for client in ("a", "a", "a", "proxy", "b")] == [True, True, False, True, False]
    crowd.leave("a")
    assert [crowd.enter(client) for client in ("a", "b")] == [True, False]


async def test_answers_to_strangers_tell_their_date():
    async def plain(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    serving = Serving(plain, "127.0.0.1", port := free_port(), clock=TestClock())
    await serving.start()
    assert b"\r\ndate: Sun, 01 Mar 2026 12:00:00 GMT\r\n" in await say(port, NEXT.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    await serving.stop(1)
