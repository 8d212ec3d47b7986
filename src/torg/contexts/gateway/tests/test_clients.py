"""Clients that go away or send slowly take nothing from the others: no place, and no context's good name. And what fails again and again fills no log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from structlog.testing import capture_logs

from torg.contexts.gateway.tests.fronting import Context, process, routed, speaking, status_of
from torg.kit import telemetry
from torg.kit.testing.waiting import until

HEAD = b"POST /slow/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
MOST = 8


@asynccontextmanager
async def half_said(browser: aiohttp.ClientSession, said: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """A request whose client says no more than this, and goes away at the end."""
    assert browser._base_url is not None
    reader, writer = await asyncio.open_connection(browser._base_url.host, browser._base_url.port)
    writer.write(said)
    await writer.drain()
    yield reader
    writer.close()
    await writer.wait_closed()


def _so_many(context: Context, number: int) -> bool:
    return len(context.asked) >= number


@pytest.mark.parametrize("begun", [b"", b"x"], ids=["before the body", "half-way"])
async def test_clients_that_go_away_are_no_fault_of_the_context(context: Context, begun: bytes):
    async with process(context) as here, routed({"slow": [here]}, most=MOST) as browser:
        with capture_logs() as lines:
            for number in range(1, MOST * 2 + 1):
                async with half_said(browser, HEAD + begun):
                    if begun:
                        await until(partial(_so_many, context, number))
            assert [await status_of(browser, "/slow/1", method) for method in ("GET", "POST")] == [200, 200]
    assert not lines
    assert len(context.asked) == 2 + (MOST * 2 if begun else 0), "what nobody waits for any more is not begun"


async def test_clients_that_send_slowly_leave_the_places_of_the_others_alone(context: Context):
    async with process(context) as here, routed({"slow": [here]}, most=MOST) as browser:
        waiting = [half_said(browser, HEAD + begun) for begun in [b""] * MOST * 2 + [b"x"] * (MOST // 4)]
        for one in waiting:
            await one.__aenter__()
        await until(lambda: len(context.asked) == MOST // 4)
        assert {await status_of(browser, "/slow/1", method) for method in ("GET", "POST")} == {200}
        async with half_said(browser, HEAD + b"x") as reader:
            assert (await reader.readline()).startswith(b"HTTP/1.1 503"), "there are so many slow ones and no more"
        for one in waiting:
            await one.__aexit__(None, None, None)

        async def room() -> bool:
            async with browser.post("/slow/1", data=_slowly()) as reply:
                return reply.status == 200

        await until(room)


async def _slowly() -> AsyncIterator[bytes]:
    for _ in range(3):
        yield b"x"
        await asyncio.sleep(0.01)


async def test_what_fails_again_and_again_has_so_many_lines_a_minute():
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this")
        await writer.drain()

    async with speaking(1, break_off) as places, routed({"slow": places}) as browser:
        with capture_logs() as lines:
            for _ in range(telemetry.A_MINUTE * 2 + 20):
                with pytest.raises(aiohttp.ClientError):
                    await status_of(browser, "/slow/1")
    assert 0 < len([line for line in lines if line["event"] == "an answer ended before its end"]) <= telemetry.A_MINUTE * 2
