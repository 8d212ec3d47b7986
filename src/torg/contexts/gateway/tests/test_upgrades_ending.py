"""How a WebSocket through the gateway ends, and how many there may be."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import WSCloseCode, WSMsgType
from prometheus_client import REGISTRY

from torg.contexts.gateway.model.websocket import MASKED_BYE
from torg.contexts.gateway.tests.chat import MEGABYTE, Chat, chatting
from torg.contexts.gateway.tests.upgrading import ACCEPT, SWITCHING, answering, both, fronted, opening, port_of, said, still_there
from torg.kit.ports import free_port
from torg.kit.testing.waiting import until


async def test_a_service_that_dies_ends_its_connections_and_the_next_instance_is_asked(chat: Chat):
    other = Chat()
    async with chatting(other) as second, chatting(chat) as first, fronted(first, second) as (browser, _), asyncio.timeout(60):
        sockets = [await browser.ws_connect("/chat") for _ in range(12)]
        await until(lambda: chat.open + other.open == 12)
        assert chat.open > 2, "both are asked"
        assert other.open > 2, "both are asked"

        lost = chat.open
        for request in chat.asked:
            assert request.transport is not None
            request.transport.abort()
        gone = await asyncio.gather(*(still_there(socket) for socket in sockets))
        assert gone.count(False) == lost
        for socket in sockets:
            await socket.close()


async def test_an_instance_that_is_not_there_is_passed_over(chat: Chat):
    async with chatting(chat) as place, fronted(f"127.0.0.1:{free_port()}", place) as (browser, _):
        for _ in range(6):
            async with browser.ws_connect("/chat") as socket:
                assert await still_there(socket)


async def test_a_service_that_is_away_is_said_to_be():
    async with fronted(f"127.0.0.1:{free_port()}") as (browser, _):
        answer = await said(port_of(browser), opening())
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"service.unavailable" in answer
    assert b"retry-after: 1" in answer


async def test_a_client_that_vanishes_leaves_nothing_open(chat: Chat):
    async with both(chat) as browser:
        socket = await browser.ws_connect("/chat")
        await socket.send_str("here")
        await socket.receive_str()
        assert socket._conn is not None
        assert socket._conn.transport is not None
        socket._conn.transport.abort()
        await until(lambda: chat.open == 0)
        assert REGISTRY.get_sample_value("torg_gateway_upgraded", {"service": "chat"}) == 0


async def test_silence_ends_it_and_talk_does_not(chat: Chat):
    async with both(chat, quiet=1.5) as browser, browser.ws_connect("/chat") as socket:
        for _ in range(8):
            await asyncio.sleep(0.25)
            assert await still_there(socket)
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        await until(lambda: chat.ended == [WSCloseCode.GOING_AWAY])


async def test_a_gateway_that_closes_says_good_bye_to_both_and_opens_no_more(chat: Chat):
    async with chatting(chat) as place, fronted(place) as (browser, services), asyncio.timeout(60):
        sockets = [await browser.ws_connect("/chat") for _ in range(3)]
        for socket in sockets:
            assert await still_there(socket)
        await services.end()
        for socket in sockets:
            message = await socket.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
        await until(lambda: chat.ended == [WSCloseCode.GOING_AWAY] * 3)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect("/chat")
        assert (refused.value.status, len(chat.asked)) == (503, 3)


async def test_a_gateway_that_closes_breaks_no_frame_in_two():
    async with (
        answering(SWITCHING + b"upgrade: websocket\r\nsec-websocket-accept: " + ACCEPT + b"\r\n\r\n\x81\x05hel") as (place, heard),
        fronted(place) as (browser, services),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(browser))
        writer.write(opening())
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(5) == b"\x81\x05hel"
        writer.write(b"\x81\x82\x00\x00\x00\x00a")
        await until(lambda: len(heard) > 1)
        await services.end()
        assert await reader.read() == b"", "not in the middle of what the service was saying"
        assert MASKED_BYE not in b"".join(heard)
        writer.close()


async def test_who_reads_slowly_is_sent_no_more_than_is_read(chat: Chat):
    async with both(chat) as browser, browser.ws_connect("/chat", max_msg_size=4 * MEGABYTE) as socket:
        assert socket._conn is not None
        assert isinstance(socket._conn.transport, asyncio.Transport)
        await socket.send_str("flood")
        await asyncio.sleep(0.05)
        socket._conn.transport.pause_reading()
        before = -1
        while before < chat.sent:
            before = chat.sent
            await asyncio.sleep(0.3)
        assert chat.sent < 50, "the service waits"
        socket._conn.transport.resume_reading()
        for _ in range(100):
            assert len((await socket.receive()).data) == MEGABYTE
        assert chat.sent == 100


async def test_there_are_so_many_and_no_more(chat: Chat):
    async with both(chat, connections=2) as browser:
        one, two = await browser.ws_connect("/chat"), await browser.ws_connect("/chat")
        assert REGISTRY.get_sample_value("torg_gateway_upgraded", {"service": "chat"}) == 2
        answer = await said(port_of(browser), opening())
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"service.overloaded" in answer
        await one.close()
        await until(lambda: chat.open == 1)
        async with browser.ws_connect("/chat") as three:
            assert await still_there(three)
        assert await still_there(two)
        await two.close()
