"""A fleet that speaks TLS: people buy while their keys change, and who listens on the wires between its processes reads nothing of it."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import aiohttp
import pytest

from tests.fleet.apart import SERVICES, Apart
from tests.fleet.buying import ORDER, Buyer, crowd
from tests.fleet.wires import listened_to
from torg import topology
from torg.kit import values
from torg.kit.rpc.key_files import rotate
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
HANDSHAKE = b"\x16\x03"
IN_THE_CLEAR = (b"HTTP/1.1", b"torg-identity", b"full_name", b"Anna Petrova", b"Tverskaya", b"@buyers.torg.example", b"traceparent", b"access_token")


@pytest.mark.parametrize("tls", [True, False])
async def test_an_order_goes_through_and_who_listens_reads_it_only_where_there_is_no_tls(tls: bool, tmp_path: Path):
    fleet = Apart(tmp_path, {"TORG_DEMO_PRODUCTS": "24"}, tls)
    try:
        async with listened_to(fleet.ports.values()) as wires, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as browser:
            wire_of = dict(zip(fleet.ports, wires, strict=True))
            fleet.find({name: [f"127.0.0.1:{wire.port}"] for name, wire in wire_of.items()})
            for name in SERVICES:
                fleet.start(name)
            await fleet.until_ready(browser, SERVICES)
            await fleet.fill()
            [buyer] = await crowd(browser, fleet.address, 1)
            await _orders_and_hears_of_it(buyer)
            if tls:
                for service in topology.SERVICES:
                    rotate(fleet.identities, service, values.randomness)
            await _orders_and_hears_of_it(buyer)
            silent = {name for name, wire in wire_of.items() if not wire.heard}
            begins = {begin[:2] for wire in wires for begin in wire.begins}
            read = [word for word in (*IN_THE_CLEAR, buyer.token.encode()) if any(word in wire.heard for wire in wires)]
            assert silent <= {topology.SANDBOX}, "everybody was asked by somebody, and heard"
            assert (begins == {HANDSHAKE}, bool(read)) == (tls, not tls), (begins, read)
            await fleet.end(*SERVICES)
    finally:
        fleet.close()


async def _orders_and_hears_of_it(buyer: Buyer) -> None:
    """Through carts, orders, stock, payments and shipping; its news comes by a stream through the gateway."""
    signed = {"authorization": f"Bearer {buyer.token}"}
    async with buyer.browser.get(f"{buyer.address}/api/v1/notifications/stream", headers=signed) as stream:
        assert stream.status == 200
        assert (await buyer.ask("PUT", f"/cart/items/{buyer.products[0]}", {"quantity": 1}))[0] == 200
        status, order, _ = await buyer.ask("POST", "/orders", ORDER, **{"idempotency-key": uuid.uuid4().hex})
        assert status == 202

        async def confirmed() -> bool:
            return bool((await buyer.ask("GET", f"/orders/{order['id']}"))[1]["status"] == "confirmed")

        await until(confirmed, "the order is confirmed", 60)
        async with asyncio.timeout(60):
            heard = b""
            while order["id"].encode() not in heard:
                heard += await stream.content.readany()
    async with buyer.browser.get(f"{buyer.address}/catalog") as page:
        assert page.status == 200
