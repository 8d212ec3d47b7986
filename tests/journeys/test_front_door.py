"""Who gets in: networks that the staff block or let in, by the front door of every topology."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.shop import Shop, until

pytestmark = pytest.mark.asyncio(loop_scope="session")
ELSEWHERE = "127.0.0.77"
KNOWN = 5.0  # seconds


@asynccontextmanager
async def browser(shop: Shop, address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody who comes from another address of this machine."""
    async with aiohttp.ClientSession(shop.address, connector=aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)) as session:
        yield session


async def asked(who: aiohttp.ClientSession, path: str) -> int:
    async with who.get(path) as reply:
        return reply.status


async def test_a_network_that_staff_block_is_kept_out_within_seconds_until_they_end_it(shop: Shop):
    support = await shop.staff("support")
    async with browser(shop, ELSEWHERE) as visitor, browser(shop, "127.0.0.1") as other:

        async def answers(who: aiohttp.ClientSession, status: int) -> bool:
            """Whichever process it is that answers."""
            return all([await asked(who, path) == status for path in ("/api/v1/categories", "/") * 5])

        assert await answers(visitor, 200)
        made = await support.once("/admin/networks", {"network": f"{ELSEWHERE}/32", "kind": "block", "reason": "a flood", "minutes": 5})
        assert made.status == 201, made
        await until(lambda: answers(visitor, 403), "the network is blocked", KNOWN)
        assert await answers(other, 200)
        listed = (await support.get("/admin/networks")).json["items"]
        assert [(rule["network"], rule["reason"]) for rule in listed if rule["id"] == made.json["id"]] == [(f"{ELSEWHERE}/32", "a flood")]
        assert (await support.delete(f"/admin/networks/{made.json['id']}")).status == 204
        await until(lambda: answers(visitor, 200), "the network is let in again", KNOWN)
        assert (await support.delete(f"/admin/networks/{made.json['id']}")).json["code"] == "network_rule.not_found"
    audit = (await support.get("/admin/audit", object=made.json["id"])).json["items"]
    assert [(entry["method"], entry["status"]) for entry in audit] == [("DELETE", 404), ("DELETE", 204), ("POST", 201)]


@pytest.mark.parametrize(
    ("network", "said"),
    [("0.0.0.0/4", "/4 is too wide: /8 at most"), ("::/8", "/8 is too wide: /16 at most"), ("everybody", "'everybody' is no network: write 203.0.113.0/24")],
)
async def test_a_slip_shuts_out_nobody(shop: Shop, network: str, said: str):
    refused = await (await shop.staff("support")).once("/admin/networks", {"network": network, "kind": "block", "reason": "a slip"})
    assert refused.status == 422
    assert said in refused.json["detail"]


async def test_nobody_shuts_out_themselves(shop: Shop):
    refused = await (await shop.staff("support")).once("/admin/networks", {"network": "127.0.0.0/8", "kind": "block", "reason": "a slip"})
    assert (refused.status, "this would shut you out" in refused.json["detail"]) == (422, True)


async def test_buyers_change_no_lists(shop: Shop):
    anna = await shop.buyer()
    assert (await anna.once("/admin/networks", {"network": "203.0.113.0/24", "kind": "block", "reason": "a rival"})).status == 403
    assert (await anna.get("/admin/networks")).status == 403


async def test_a_key_of_the_free_tier_asks_ten_times_a_minute_and_its_owner_goes_on(shop: Shop):
    anna = await shop.buyer()
    made = await anna.post("/users/me/api-keys", {"name": "mine", "scopes": ["orders:read"]})
    assert made.status == 201, made
    async with browser(shop, "127.0.0.1") as program, browser(shop, "127.0.0.1") as pages:

        async def asked(who: aiohttp.ClientSession, headers: dict[str, str]) -> tuple[int, str]:
            async with who.get("/api/v1/orders", headers=headers) as reply:
                return reply.status, reply.headers.get("ratelimit-policy", "")

        answers = [await asked(program, {"x-api-key": made.json["key"]}) for _ in range(11)]
        assert [status for status, _ in answers] == [200] * 10 + [429]
        assert '"free";q=10;w=60' in answers[0][1]
        assert await asked(pages, {"authorization": f"Bearer {anna.token}"}) == (200, '"all";q=1000;w=60, "orders";q=200;w=60')
