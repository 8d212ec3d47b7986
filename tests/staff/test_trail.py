"""The audit trail: what the staff change is filed as it was and as it became, and whoever tampers with a line is found out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.shop import Shop, open_shop

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("trail")) as opened:
        yield opened


async def verdict(shop: Shop, kept: str = "") -> Any:
    reply = await (await shop.staff("support")).post("/admin/audit/verify", {"kept": kept})
    assert reply.status == 200, reply
    return reply.json


async def newest(shop: Shop) -> Any:
    return (await (await shop.staff("support")).get("/admin/audit", limit=1)).json["items"][0]


async def tamper(shop: Shop, statement: str, **values: Any) -> None:
    async with (await shop.store("admin")).transaction() as tx:
        await tx.execute(statement, **values)


async def test_a_change_is_filed_as_it_was_and_as_it_became(shop: Shop):
    admin, product_id = await shop.staff("admin"), shop.product()
    before = (await shop.guest().get(f"/products/{product_id}")).json
    assert (await admin.patch(f"/products/{product_id}", {"price": {"amount": 12345, "currency": "USD"}})).status == 200
    line = await newest(shop)
    assert (line["method"], line["object"], line["status"]) == ("PATCH", product_id, 200)
    assert line["before"]["price"] == before["price"] and line["after"]["price"]["amount"] == 12345
    assert "name" not in line["before"], "what stayed as it was is not repeated"


async def test_a_role_that_was_given_shows_what_somebody_was_before(shop: Shop):
    buyer, admin = await shop.buyer(0), await shop.staff("admin")
    await admin.put(f"/admin/users/{buyer.user_id}/roles", {"roles": ["moderator"]})
    line = await newest(shop)
    assert (line["before"], line["after"]) == ({"roles": ["customer"]}, {"roles": ["moderator"]})


async def test_what_was_made_is_filed_and_what_was_refused_has_no_before(shop: Shop):
    keeper = await shop.staff("warehouse")
    assert (await keeper.once("/suppliers", {"name": "Northern cheese", "email": "cheese@north.example"})).status in (201, 422)
    made = await newest(shop)
    assert (await keeper.post("/inventory/nothing/movements", {})).status == 422
    refused = await newest(shop)
    assert (refused["status"], refused["before"], refused["after"]) == (422, None, None)
    assert made["before"] is None


async def test_a_key_that_is_shown_once_is_not_filed(shop: Shop):
    admin = await shop.sign_in("admin@torg.example")
    key = (await admin.post("/users/me/api-keys", {"name": "mine", "scopes": ["orders:read"]})).json["key"]
    listed = (await (await shop.staff("support")).get("/admin/audit", limit=100)).json["items"]
    assert listed[0]["route"].endswith("/api-keys")
    assert key not in str(listed)


async def test_an_operator_is_told_that_the_trail_is_whole_or_is_not(shop: Shop):
    whole = await verdict(shop)
    assert whole["holds"] and whole["entries"] >= 1
    assert (await verdict(shop, kept=whole["head"]))["holds"]
    await tamper(shop, "update audit set actor = 'x' || actor where number = 1")
    assert not (await verdict(shop))["holds"]
    await tamper(shop, "update audit set actor = substr(actor, 2) where number = 1")
    assert (await verdict(shop))["holds"]


async def test_a_trail_that_was_written_anew_lacks_the_digest_that_was_kept(shop: Shop):
    assert not (await verdict(shop, kept="0" * 64))["holds"]


async def test_the_page_shows_what_changed_and_verifies(shop: Shop):
    support = await shop.sign_in("support@torg.example")
    page = await shop.send("GET", "/admin/audit?verify=1", cookie=f"session={support.token}")
    text = page.body.decode()
    assert page.status == 200 and "All lines are as they were filed:" in text
    assert "moderator" in text


async def test_a_refusal_is_explained_to_the_staff(shop: Shop):
    buyer, support = await shop.buyer(0), await shop.sign_in("support@torg.example")
    page = await shop.send("GET", f"/admin/rights?who={buyer.email}&right=orders:read&whose=other", cookie=f"session={support.token}")
    text = page.body.decode()
    assert page.status == 200
    assert "may not" in text and "member has orders:read (their own): only for what is their own" in text
    assert "their warehouses" in text, "all rights stand below"
    page = await shop.send("GET", f"/admin/rights?who={buyer.email}&right=orders:write&whose=own&scope=orders:read", cookie=f"session={support.token}")
    assert "may not" in page.body.decode() and "lacks the scope orders:write, which lends orders:write; it has orders:read" in page.body.decode()
    assert (await shop.send("GET", "/admin/rights?who=nobody@nowhere.example&right=orders:read", cookie=f"session={support.token}")).status == 404


async def test_who_brings_parcels_sees_whom_to_and_who_packs_them_does_not(shop: Shop):
    buyer = await shop.buyer()
    await buyer.bought(shop.product())
    for role, sees in (("courier", True), ("warehouse", False)):
        member = await shop.sign_in(f"{role}@torg.example")
        page = await shop.send("GET", "/admin/deliveries", cookie=f"session={member.token}")
        assert (page.status, *(text in page.body.decode() for text in ("Anna Petrova", "Tverskaya 1"))) == (200, sees, sees), role
        assert buyer.email not in page.body.decode(), role
