"""A front door of an operator's own, before a shop in one process and before a fleet: rewrites, and a service beside the shop that speaks WebSocket."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import WSCloseCode, WSMsgType

from tests.fleet.buying import ORDER, Buyer
from tests.test_up import until_ready, up
from torg import topology
from torg.contexts.gateway.tests.chat import MEGABYTE, Chat, chatting
from torg.kit.ports import free_port
from torg.kit.testing.countries import mapped
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
HOME, ABROAD = "DE", "127.0.0.77"
KNOWN = 30.0  # seconds, on however busy a machine, until every process knows what the staff have said
PARTNERS, CHATTING = "partners.example", "chat.example"
DOOR = """
[rewrites.partners]                     # other hosts and paths for what is there
hosts = ["partners.example"]
becomes = "/api/v1"
add = { accept-language = "ru" }
remove = ["x-tracing"]
answer_add = { x-served-to = "partners" }
answer_remove = ["ratelimit", "ratelimit-policy"]

[rewrites.v2]                           # the new version is what the shop answers
paths = ["/api/v2"]
becomes = "/api/v1"

[rewrites.v1]                           # the old one goes on without what was added
paths = ["/api/v1/products"]
drop = ["brand", "items.brand"]

[rewrites.v1-orders]
paths = ["/api/v1/orders"]
drop = ["bucket_id"]

[rewrites.chat]
hosts = ["chat.example"]
becomes = "/chat"

[limits.quotes]
paths = ["/api/v1/delivery/quotes"]
algorithm = "fixed window"
requests = 4
per = "address"

[services.chat]
at = ["127.0.0.1:%d"]
origins = ["https://partner.example"]

[routes]
"/chat" = { context = "chat", upgrade = true, timeout = 5 }
"""
APART = f"{','.join(context for context in topology.CONTEXTS if context != 'catalog')}/catalog"


@dataclass
class Opened:
    process: subprocess.Popen[str]
    address: str
    browser: aiohttp.ClientSession
    chat: Chat

    async def get(self, path: str, method: str = "GET", host: str = "", body: object = None, **headers: str) -> tuple[int, Any, aiohttp.ClientResponse]:
        said = {name.replace("_", "-"): value for name, value in headers.items()} | ({"host": host} if host else {})
        async with self.browser.request(method, self.address + path, json=body, headers=said, allow_redirects=False) as reply:
            document = await reply.json(content_type=None) if reply.content_type.endswith("json") and method != "HEAD" else await reply.read()
            return reply.status, document, reply


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["all", APART], ids=["in one process", "gateway apart"])
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    folder, chat = tmp_path_factory.mktemp("door"), Chat()
    countries = mapped(folder / "countries.mmdb", {"127.0.0.1/32": HOME, f"{ABROAD}/32": "FR"})
    (folder / "gateway.toml").write_text(DOOR % (place := free_port()))
    settings = {"TORG_GATEWAY": str(folder / "gateway.toml"), "TORG_GEO": countries}
    process = up("--topology", request.param, "--port", str(free_port()), "--data", str(folder / "data"), **settings)
    try:
        async with chatting(chat, place), aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as browser:
            yield Opened(process, await asyncio.to_thread(until_ready, process), browser, chat)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


# ---------------------------------------------------------------- rewrites


async def test_a_host_of_its_own_leads_to_the_api_with_other_headers_both_ways(shop: Opened):
    status, listed, reply = await shop.get("/products?limit=3", host=PARTNERS, x_tracing="1")
    assert (status, len(listed["items"])) == (200, 3)
    assert reply.headers["x-served-to"] == "partners"
    assert "ratelimit" not in reply.headers
    usual = (await shop.get("/api/v1/products?limit=3"))[2]
    assert "x-served-to" not in usual.headers
    assert "ratelimit" in usual.headers
    refused = (await shop.get("/orders", host=PARTNERS))[1]
    assert (refused["status"], any("а" <= letter <= "я" for letter in refused["detail"] + refused["title"])) == (401, False)
    categories = [(await shop.get("/categories", host=host, accept_language="en"))[1] for host in (PARTNERS, f"{PARTNERS}:443", f"{PARTNERS.upper()}")]
    assert categories[0] == categories[1] == categories[2]
    assert (await shop.get("/api/v1/products", host=PARTNERS))[0] == 404, "its paths are its own"


async def test_the_old_version_goes_on_without_what_was_added_to_the_new_one(shop: Opened):
    new, old = (await shop.get("/api/v2/products?limit=5"))[1], (await shop.get("/api/v1/products?limit=5"))[1]
    assert all("brand" in item for item in new["items"])
    assert old["items"] == [{name: value for name, value in item.items() if name != "brand"} for item in new["items"]]
    id = new["items"][0]["id"]
    one, other = (await shop.get(f"/api/v2/products/{id}"))[1], (await shop.get(f"/api/v1/products/{id}"))[1]
    assert other == {name: value for name, value in one.items() if name != "brand"}
    for path in (f"/api/v2/products/{id}", f"/api/v1/products/{id}"):
        _, _, reply = await shop.get(path)
        again, _, unchanged = await shop.get(path, if_none_match=reply.headers["etag"])
        assert (again, unchanged.headers["etag"]) == (304, reply.headers["etag"])
    for path in ("/api/v1/products/none", "/api/v2/products/none"):
        status, problem, _ = await shop.get(path)
        assert (status, problem["code"]) == (404, "product.not_found")


async def test_a_head_says_nothing_false_of_the_answer_that_would_come(shop: Opened):
    whole = (await shop.get("/api/v1/products?limit=5"))[2]
    status, _, head = await shop.get("/api/v1/products?limit=5", method="HEAD")
    assert status == 200
    assert head.headers.get("content-length") in (None, whole.headers.get("content-length"))


async def test_limits_count_what_a_path_becomes(shop: Opened):
    quotes = [("/api/v2/delivery/quotes?city=Moscow", ""), ("/api/v1/delivery/quotes?city=Moscow", ""), ("/delivery/quotes?city=Moscow", PARTNERS)] * 2
    assert [(await shop.get(path, host=host))[0] for path, host in quotes] == [200] * 4 + [429] * 2


async def test_what_was_made_is_found_where_its_maker_is_told(shop: Opened):
    buyer = Buyer(shop.address, shop.browser)
    await buyer.arrive()
    signed = {"authorization": f"Bearer {buyer.token}"}
    products = [item["id"] for item in (await shop.get("/api/v2/products?limit=3"))[1]["items"]]
    for product, host, orders in zip(products, ("", "", PARTNERS), ("/api/v1/orders", "/api/v2/orders", "/orders"), strict=True):
        beginning = orders.removesuffix("/orders")
        assert (await shop.get(f"{beginning}/cart/items/{product}", "PUT", host, {"quantity": 1}, **signed))[0] == 200
        status, order, made = await shop.get(orders, "POST", host, ORDER, **signed, idempotency_key=uuid.uuid4().hex)
        assert (status, made.headers["location"]) == (202, f"{orders}/{order['id']}")
        status, found, _ = await shop.get(made.headers["location"], host=host, **signed)
        assert (status, found["id"]) == (200, order["id"])
        assert ("bucket_id" in found) == (orders != "/api/v1/orders")


async def test_events_stream_through_a_rewrite_as_they_happen(shop: Opened):
    buyer = Buyer(shop.address, shop.browser)
    await buyer.arrive()
    headers = {"authorization": f"Bearer {buyer.token}", "host": PARTNERS}
    product = (await shop.get("/api/v2/products?limit=1"))[1]["items"][0]["id"]
    async with asyncio.timeout(60), shop.browser.get(f"{shop.address}/notifications/stream", headers=headers) as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        assert (await buyer.ask("PUT", f"/cart/items/{product}", {"quantity": 1}))[0] == 200
        assert (await buyer.ask("POST", "/orders", ORDER, **{"idempotency-key": uuid.uuid4().hex}))[0] == 202
        assert b"data" in b"".join([line async for line in _until_data(stream)])


async def _until_data(stream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for line in stream.content:
        yield line
        if line.startswith(b"data"):
            return


@pytest.mark.parametrize("path", ["/api/v2/../v1/admin/audit", "/api/v2/%2e%2e/admin/audit", "//api//v2//products", "/api/v2/products%2f..", "/api/v2"])
async def test_no_spelling_of_a_path_gets_anybody_further(shop: Opened, path: str):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(shop.address.rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    status = int((await reader.read()).split(b" ")[1])
    writer.close()
    assert status in ((200,) if path.startswith("//") else (401, 404))


# ---------------------------------------------------------------- a service beside the shop


@pytest.mark.parametrize(("path", "host"), [("/chat?room=1", ""), ("/?room=1", CHATTING)], ids=["path", "host"])
async def test_a_websocket_passes_to_a_service(shop: Opened, path: str, host: str):
    headers = {"host": host} if host else {}
    async with shop.browser.ws_connect(shop.address + path, headers=headers | {"cookie": "session=mine"}, max_msg_size=4 * MEGABYTE) as socket:
        await socket.send_str("привет")
        assert await socket.receive_str() == "привет"
        await socket.send_bytes(b"x" * MEGABYTE)
        assert len(await socket.receive_bytes()) == MEGABYTE
        await socket.close(code=4002)
    asked = shop.chat.asked[-1]
    assert (asked.query["room"], asked.path.rstrip("/"), "cookie" in asked.headers) == ("1", "/chat", False)
    await until(lambda: shop.chat.ended[-1] == 4002)


async def test_no_other_sites_page_opens_one_but_those_that_are_named(shop: Opened):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await shop.browser.ws_connect(f"{shop.address}/chat", headers={"origin": "https://evil.example"})
    assert refused.value.status == 403
    for origin in ("https://partner.example", shop.address):
        async with shop.browser.ws_connect(f"{shop.address}/chat", headers={"origin": origin}) as socket:
            await socket.send_str("a")
            assert await socket.receive_str() == "a"


async def test_nothing_of_the_shop_speaks_websocket(shop: Opened):
    for path in ("/", "/api/v1/products", "/api/v1/orders", "/health"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await shop.browser.ws_connect(shop.address + path)


# ---------------------------------------------------------------- countries


async def test_what_staff_say_of_countries_holds_within_seconds_and_shuts_out_nobody_silently(shop: Opened):
    support = Buyer(shop.address, shop.browser, email="support@torg.example")
    await support.sign_in()
    connector = aiohttp.TCPConnector(local_addr=(ABROAD, 0), force_close=True)
    async with aiohttp.ClientSession(connector=connector) as abroad:

        async def answered(status: int) -> bool:
            async with abroad.get(f"{shop.address}/api/v1/categories") as reply:
                return reply.status == status and (status == 200 or (await reply.json(content_type=None))["code"] == "country.not_served")

        async def say(kind: str, country: str, expected: int, **more: object) -> Any:
            status, told, _ = await support.ask("POST", "/admin/countries", {"kind": kind, "country": country, "reason": "a flood", **more})
            assert status == expected, told
            return told

        assert await answered(200)
        rule = await say("block", "FR", 201, minutes=5)
        await until(lambda: answered(403), "France is left out", KNOWN)
        assert (await shop.get("/api/v1/categories"))[0] == 200
        _, listed, _ = await support.ask("GET", "/admin/countries")
        assert (listed["from_country"], [shown["country"] for shown in listed["items"]]) == (HOME, ["FR"])
        assert "you come from DE yourself" in (await say("only", "AT", 422))["detail"]
        assert (await support.ask("DELETE", f"/admin/countries/{rule['id']}"))[0] == 204
        await until(lambda: answered(200), "France is let in again", KNOWN)
        forced = await say("only", "FR", 201, force=True)

        async def shut_out() -> bool:
            return (await shop.get("/api/v1/categories"))[0] == 403

        await until(shut_out, "they were told", KNOWN)
        signed = {"authorization": f"Bearer {support.token}"}
        async with abroad.delete(f"{shop.address}/api/v1/admin/countries/{forced['id']}", headers=signed) as reply:
            assert reply.status == 204, "from where one is let in it is taken back"

        async def let_in() -> bool:
            return not await shut_out()

        await until(let_in, "they are let in again", KNOWN)
    trail = (await support.ask("GET", f"/admin/audit?object={rule['id']}"))[1]["items"]
    assert [(line["method"], line["status"]) for line in trail] == [("DELETE", 204), ("POST", 201)]


async def test_a_shop_that_ends_says_good_bye_and_ends_in_order(shop: Opened):
    """The last one: nothing answers after it."""
    sockets = [await shop.browser.ws_connect(f"{shop.address}/chat") for _ in range(3)]
    shop.process.send_signal(signal.SIGTERM)
    for socket in sockets:
        message = await socket.receive(timeout=60)
        assert (message.type, message.data) == (WSMsgType.CLOSE, WSCloseCode.GOING_AWAY)
    _, said = await asyncio.to_thread(shop.process.communicate, timeout=180)
    assert (shop.process.returncode, "Traceback" in said) == (0, False), said
    await until(lambda: shop.chat.open == 0)
    assert shop.chat.ended[-3:] == [WSCloseCode.GOING_AWAY] * 3
