"""WebSocket through the gateway: a library of others at both ends, real ports, and what must not get through."""

from __future__ import annotations

import asyncio
import tomllib
from base64 import b64encode

import aiohttp
import pytest
from aiohttp import WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torg import topology
from torg.contexts.admin.contracts import NetworkRules
from torg.contexts.gateway.adapters.declared_toml import DEFAULTS, declared, laid_over
from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.adapters.networks import Lists
from torg.contexts.gateway.adapters.services_http import Beside, Services
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.paths import tree
from torg.contexts.gateway.model.services import Service
from torg.contexts.gateway.model.websocket import BYE, MASKED_BYE, Frames
from torg.contexts.gateway.tests.chat import MEGABYTE, Chat, chatting
from torg.contexts.gateway.tests.fronting import listening, nothing_here
from torg.contexts.gateway.tests.upgrading import ACCEPT, KEY, SWITCHING, answering, both, fronted, opening, port_of, said, still_there
from torg.kit import values
from torg.kit.auth import Identity, Role
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.testing.waiting import until

# ---------------------------------------------------------------- what passes


async def test_texts_bytes_and_a_megabyte_go_both_ways(chat: Chat):
    async with both(chat) as browser, browser.ws_connect("/chat?room=1", max_msg_size=4 * MEGABYTE, protocols=("torg.chat",)) as socket:
        assert socket.protocol == "torg.chat"
        await socket.send_str("привет")
        assert await socket.receive_str() == "привет"
        for size in (0, 1, 125, 126, 65_535, 65_536, MEGABYTE, 3 * MEGABYTE):
            await socket.send_bytes(b"x" * size)
            assert len(await socket.receive_bytes()) == size
        await socket.send_str("y" * MEGABYTE)
        assert await socket.receive_str() == "y" * MEGABYTE
    (asked,) = chat.asked
    assert (asked.path_qs, asked.headers["x-forwarded-for"], asked.headers["host"]) == ("/chat?room=1", "127.0.0.1", f"127.0.0.1:{port_of(browser)}")
    await until(lambda: chat.ended == [1000])


async def test_compression_is_between_the_two_of_them(chat: Chat):
    async with both(chat) as browser, browser.ws_connect("/chat", compress=15) as socket:
        assert socket.compress
        await socket.send_str("la " * 1000)
        assert await socket.receive_str() == "la " * 1000


async def test_pings_are_answered_by_the_other_end_and_not_on_the_way(chat: Chat):
    async with both(chat) as browser, browser.ws_connect("/chat", autoping=False) as socket:
        await socket.ping(b"there?")
        message = await socket.receive()
        assert (message.type, message.data) == (WSMsgType.PONG, b"there?")


async def test_a_close_says_why_at_the_other_end(chat: Chat):
    async with both(chat) as browser:
        async with browser.ws_connect("/chat") as socket:
            await socket.close(code=4002, message=b"had enough")
        await until(lambda: chat.ended == [4002])
        async with browser.ws_connect("/chat") as socket:
            await socket.send_str("leave")
            message = await socket.receive()
            assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "as you wish")
    await until(lambda: chat.open == 0)


async def test_who_is_not_let_in_sees_the_services_own_answer(chat: Chat):
    async with both(chat) as browser:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.ws_connect("/chat/closed")
        assert refused.value.status == 403
        answer = await said(port_of(browser), opening(line=b"GET /chat/closed HTTP/1.1"))
    assert answer.startswith(b"HTTP/1.1 403")
    assert answer.endswith(b"members only")
    assert b"set-cookie" not in answer.lower()


async def test_other_requests_of_a_service_are_answered_as_any(chat: Chat):
    async with both(chat) as browser, browser.post("/chat/rooms?a=b", data=b"12345") as reply:
        assert (reply.status, await reply.text()) == (200, "a page of the chat")


@pytest.mark.parametrize("credentials", [False, True])
async def test_a_service_is_shown_the_shops_keys_only_where_that_is_declared(chat: Chat, credentials: bool):
    keys = {"cookie": "session=secret", "authorization": "Bearer secret", "x-api-key": "secret"}
    async with both(chat, credentials=credentials) as browser:
        async with browser.ws_connect("/chat", headers=keys):
            pass
        async with browser.get("/chat", headers=keys) as reply:
            await reply.read()
    for asked in chat.asked:
        assert [name in asked.headers for name in keys] == [credentials] * 3
        assert not {"torg-gateway", "torg-within"} & {name.lower() for name in asked.headers}


# ---------------------------------------------------------------- what does not


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (opening(sec_websocket_key=None), 400, b"upgrade.malformed"),
        (opening(sec_websocket_key=b"short"), 400, b"upgrade.malformed"),
        (opening(sec_websocket_key=b64encode(bytes(15))), 400, b"upgrade.malformed"),
        (opening(line=b"POST /chat HTTP/1.1"), 400, b"upgrade.malformed"),
        (opening(sec_websocket_version=b"12"), 426, b"upgrade.version"),
        (opening(sec_websocket_version=None), 426, b"upgrade.version"),
        (opening(origin=b"https://evil.test"), 403, b"request.forged"),
        (opening(origin=b"null"), 403, b"request.forged"),
        (opening(sec_fetch_site=b"cross-site"), 403, b"request.forged"),
        (opening(sec_fetch_site=b"same-site", origin=b"https://other.shop.test"), 403, b"request.forged"),
    ],
)
async def test_what_is_no_proper_opening_is_refused_and_reaches_nobody(chat: Chat, sent: bytes, status: int, code: bytes):
    async with both(chat) as browser:
        answer = await said(port_of(browser), sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert code in answer
    assert chat.asked == []


@pytest.mark.parametrize("origin", ["https://partner.example", "http://shop.test", None])
async def test_pages_of_the_shop_and_of_named_sites_and_programs_may_open_one(chat: Chat, origin: str | None):
    async with both(chat, origins=("https://partner.example",)) as browser:
        headers = {"host": "shop.test"} | ({"origin": origin} if origin else {})
        async with browser.ws_connect("/chat", headers=headers) as socket:
            await socket.send_str("a")
            assert await socket.receive_str() == "a"


@pytest.mark.parametrize(
    "sent",
    [
        opening(upgrade=b"h2c", connection=b"Upgrade, HTTP2-Settings", http2_settings=b"AAMAAABkAAQAoAAAAAIAAAAA"),
        opening(upgrade=b"websocket, h2c"),
        opening(upgrade=b"TLS/1.0"),
        opening(connection=b"keep-alive"),
        opening(line=b"GET /chat HTTP/1.0"),
        opening(line=b"GET /plain/chat HTTP/1.1"),
    ],
    ids=["h2c", "a choice", "TLS", "not of this connection", "HTTP/1.0", "a path that does not allow it"],
)
async def test_a_wish_that_is_not_granted_becomes_an_ordinary_request(chat: Chat, sent: bytes):
    async with both(chat) as browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(browser))
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.split(b" ")[1] in (b"200", b"404")
    assert b"upgrade" not in head.lower()
    assert [name for request in chat.asked for name in request.headers if name.lower() in ("upgrade", "http2-settings")] == []


SMUGGLED = b"GET /chat/smuggled HTTP/1.1\r\nhost: shop.test\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        opening(line=b"GET /chat/closed HTTP/1.1"), opening(line=b"GET / HTTP/1.1"), opening(line=b"GET /plain HTTP/1.1"), opening(sec_websocket_version=b"99"),
        opening(sec_websocket_key=None), opening(origin=b"https://evil.test"),
    ],
    ids=["refused by the service", "not there", "not allowed", "another version", "no key", "another site"],
)  # fmt: skip
async def test_what_follows_a_wish_that_is_not_granted_is_nobodys_request(chat: Chat, sent: bytes):
    async with both(chat) as browser:
        answer = await said(port_of(browser), sent + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()
    assert "/chat/smuggled" not in [request.path for request in chat.asked]


@pytest.mark.parametrize(
    "answer",
    [
        SWITCHING + b"upgrade: websocket\r\n\r\n",
        SWITCHING + b"upgrade: websocket\r\nsec-websocket-accept: " + KEY + b"\r\n\r\n",
        SWITCHING + b"upgrade: h2c\r\nsec-websocket-accept: " + ACCEPT + b"\r\n\r\n",
        SWITCHING + b"sec-websocket-accept: " + ACCEPT + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: " + ACCEPT + b"\r\n\r\n",
    ],
    ids=["no proof", "another proof", "another protocol", "no protocol", "nothing"],
)
async def test_only_a_proper_grant_opens_a_tunnel(answer: bytes):
    async with answering(answer) as (place, heard), fronted(place) as (browser, _):
        told = await said(port_of(browser), opening() + SMUGGLED)
    assert told.startswith(b"HTTP/1.1 503")
    assert b"smuggled" not in b"".join(heard)


async def test_a_grant_that_nobody_asked_for_is_no_answer():
    async with answering(SWITCHING + b"upgrade: websocket\r\n\r\n") as (place, heard), fronted(place) as (browser, _), browser.get("/chat") as reply:
        assert reply.status == 503
    assert b"upgrade" not in b"".join(heard).lower()


async def test_what_is_said_before_the_grant_waits_for_it():
    async with (
        answering(SWITCHING + b"upgrade: websocket\r\nsec-websocket-accept: " + ACCEPT + b"\r\n\r\n\x81\x02hi") as (place, heard),
        fronted(place) as (browser, _),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(browser))
        writer.write(opening() + MASKED_BYE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert await reader.readexactly(4) == b"\x81\x02hi"
        await until(lambda: len(heard) > 1)
        assert heard[1] == MASKED_BYE
        writer.close()


@pytest.mark.parametrize("body", [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"])
async def test_an_opening_has_no_body(chat: Chat, body: bytes):
    async with both(chat) as browser:
        answer = await said(port_of(browser), opening()[:-2] + body + b"\r\nhello" + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert chat.asked == []


@pytest.mark.parametrize("connection", [b"keep-alive, Upgrade", b"upgrade"])
async def test_an_opening_may_follow_another_request(chat: Chat, connection: bytes):
    async with both(chat) as browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(browser))
        writer.write(SMUGGLED.replace(b"smuggled", b"first") + opening(connection=connection))
        first = await reader.readuntil(b"a page of the chat")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(MASKED_BYE)
        assert (await reader.read()).startswith(BYE[:1])
        writer.close()


async def test_one_that_is_open_is_a_request_of_its_person_under_way(chat: Chat):
    async def whose(token: str) -> Identity | None:
        return Identity(token, frozenset({Role.CUSTOMER}))

    document = laid_over(tomllib.loads(DEFAULTS.read_text()), {"bounds": {"requests_per_person": 1}})
    found = declared(document, (*topology.CONTEXTS, topology.SANDBOX))

    async def nothing_ruled() -> NetworkRules:
        return NetworkRules(())

    async with chatting(chat) as place:
        services = Services({"chat": Service((place,))}, values.utc_now, values.new_id, values.randomness, None, 64)
        beside = Beside(nothing_here, services, tree({"/": Row("web"), "/chat": Row("chat", upgrade=True)}))
        guard = Guard(beside, found, MemoryLimiter(), whose, Lists(nothing_ruled, found.countries, None, values.utc_now), None, values.new_id)
        async with listening(guard) as address, aiohttp.ClientSession(f"http://{address}") as browser:
            anna, boris = {"authorization": "Bearer anna"}, {"authorization": "Bearer boris"}
            async with browser.ws_connect("/chat", headers=anna) as socket, browser.ws_connect("/chat", headers=boris):
                assert await still_there(socket)
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await browser.ws_connect("/chat", headers=anna)
                assert refused.value.status == 429
            await until(lambda: chat.open == 0)
            async with browser.ws_connect("/chat", headers=anna) as socket:
                assert await still_there(socket)
        await services.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, 200_000), st.booleans()), max_size=5), st.integers(1, 70_000), st.integers(0, 20))
def test_where_a_frame_ends_is_known_however_it_comes(frames: list[tuple[int, bool]], piece: int, cut: int):
    whole = b"".join(framed(size, masked) for size, masked in frames)
    follows = Frames()
    for at in range(0, len(whole), piece):
        follows.add(whole[at : at + piece])
    assert follows.between
    if 0 < cut < len(BYE + MASKED_BYE) and cut != len(BYE):
        follows.add((BYE + MASKED_BYE)[:cut])
        assert not follows.between


def framed(size: int, masked: bool) -> bytes:
    mask = 0x80 if masked else 0
    head = bytes([mask | size]) if size < 126 else bytes([mask | 126]) + size.to_bytes(2) if size < 1 << 16 else bytes([mask | 127]) + size.to_bytes(8)
    return b"\x82" + head + bytes(4 if masked else 0) + bytes(size)
