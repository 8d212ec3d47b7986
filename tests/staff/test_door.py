"""The page on which the staff say who is let in by where they come from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.staff.test_pages import Shop, opened
from torg.contexts.admin import contracts as c
from torg.kit.auth import Role
from torg.kit.testing.countries import mapped


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path, [Role.SUPPORT]) as found:
        yield found


async def test_networks_are_blocked_and_let_in_again_and_that_stays_on_record(shop: Shop) -> None:
    added = await shop.send(Role.SUPPORT, "/admin/networks", key="k", network="203.0.113.7/24", kind="block", minutes="60", reason="a flood of sign-ins")
    assert (added.status, added.headers["location"]) == (303, "/admin/networks?done=network_added")
    page = (await shop.get(Role.SUPPORT, "/admin/networks")).body.decode()
    assert all(word in page for word in ("203.0.113.0/24", "a flood of sign-ins", "support@torg.example"))
    rule = (await shop.app.call(c.ListNetworkRules())).items[0]
    assert (await shop.send(Role.SUPPORT, f"/admin/networks/{rule.id}/remove")).status == 303
    assert (await shop.app.call(c.ListNetworkRules())).items == ()
    (row,) = await shop.app.stores["admin"].database.all("select * from network_rule")
    assert (row["added_by"], row["ended_by"], row["ended_at"] is not None) == (shop.ids[Role.SUPPORT], shop.ids[Role.SUPPORT], True)
    refused = await shop.send(Role.SUPPORT, "/admin/networks", key="l", network="nowhere", kind="block", reason="a slip")
    assert (refused.status, "&#39;nowhere&#39; is no network" in refused.body.decode()) == (422, True)


async def test_without_a_file_of_countries_the_page_says_so_and_rules_are_refused(shop: Shop) -> None:
    assert b"TORG_GEO names no file" in (await shop.get(Role.SUPPORT, "/admin/networks")).body
    refused = await shop.send(Role.SUPPORT, "/admin/countries", key="m", country="FR", kind="block", reason="a flood")
    assert (refused.status, b"TORG_GEO=a file" in refused.body) == (409, True)


async def test_who_would_shut_out_themselves_is_told_and_has_a_box_to_tick(tmp_path: Path) -> None:
    geo = mapped(tmp_path / "countries.mmdb", {"127.0.0.1/32": "DE"})
    async with opened(tmp_path, [Role.SUPPORT], geo) as shop:

        async def rules() -> list[str]:
            return [f"{rule.kind} {rule.country}" for rule in (await shop.app.call(c.ListNetworkRules())).countries]

        typed = {"country": "DE", "kind": "block", "reason": "a slip", "minutes": "15"}
        refused = await shop.send(Role.SUPPORT, "/admin/countries", key="n", **typed)
        page = refused.body.decode()
        assert (refused.status, "you come from DE yourself: this would shut you out" in page, page.count('name="force"')) == (422, True, 1)
        assert all(word in page for word in ('value="a slip"', '<option value="15" selected>', "(<code>DE</code>)"))
        assert await rules() == []
        assert (await shop.send(Role.SUPPORT, "/admin/countries", key="o", force="true", **typed)).status == 303
        assert (await shop.send(Role.SUPPORT, "/admin/countries", key="p", country="DE", kind="allow", reason="back in")).status == 303
        assert await rules() == ["allow DE", "block DE"]
        (allowed, _) = (await shop.app.call(c.ListNetworkRules())).countries
        refused = await shop.send(Role.SUPPORT, f"/admin/countries/{allowed.id}/remove")
        assert (refused.status, refused.body.decode().count('name="force"')) == (422, 1)
        assert (await shop.send(Role.SUPPORT, f"/admin/countries/{allowed.id}/remove", force="true")).status == 303
        assert await rules() == ["block DE"]
