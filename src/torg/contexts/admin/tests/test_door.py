"""Networks and countries that the staff let in or not; and that nobody shuts out themselves without saying so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.admin import contracts as c
from torg.contexts.admin.tests.house import House, open_house
from torg.kit.auth import Identity, Role
from torg.kit.countries import codes, open_atlas
from torg.kit.errors import DomainError, Invalid, NotFound
from torg.kit.testing.countries import mapped

VERA = Identity("vera", frozenset({Role.SUPPORT}))
FROM_A, FROM_B, FROM_NOWHERE = "198.51.100.7", "203.0.113.7", "192.0.2.7"
A, B = "DE", "AT"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    atlas = open_atlas(mapped(tmp_path / "countries.mmdb", {"198.51.100.0/24": A, "203.0.113.0/24": B}))
    async with open_house(tmp_path, atlas) as opened:
        yield opened


async def say(house: House, kind: str, country: str, client: str = FROM_A, **more: Any) -> c.CountryRule:
    rule: c.CountryRule = await house.do(c.AddCountryRule(actor=VERA, asked_from=client, country=country, kind=kind, reason="a flood", **more))  # type: ignore[arg-type]
    return rule


async def network(house: House, kind: str, of: str, client: str = FROM_A, **more: Any) -> c.NetworkRule:
    rule: c.NetworkRule = await house.do(c.AddNetworkRule(actor=VERA, asked_from=client, network=of, kind=kind, reason="a flood", **more))  # type: ignore[arg-type]
    return rule


@pytest.mark.parametrize(
    ("written", "means"), [("::ffff:192.0.2.7", "192.0.2.7/32"), ("::ffff:192.0.2.0/120", "192.0.2.0/24"), ("2001:db8::5/32", "2001:db8::/32")]
)
async def test_a_network_in_the_clothes_of_the_new_kind_is_that_of_the_old(house: House, written: str, means: str):
    """As logs write it where both kinds are listened to: taken for one of the new kind the rule would hold nobody up."""
    assert (await network(house, "block", written)).network == means
    for none in ("::ffff:0.0.0.0/96", "fe80::1%eth0", "::ffff:198.51.100.7"):
        with pytest.raises(Invalid):
            await network(house, "block", none)


async def shown(house: House) -> list[str]:
    return [f"{rule.kind} {rule.country}" for rule in (await house.do(c.ListCountryRules())).items]


async def test_a_rule_about_a_country_is_shown_until_its_time_is_over_or_it_is_removed(house: House):
    await say(house, "block", "fr", minutes=15)
    for_ever = await say(house, "only", A)
    assert await shown(house) == [f"only {A}", "block FR"]
    told = await house.do(c.ListCountryRules(asked_from=FROM_A))
    assert (told.from_country, told.known, told.items[0].added_by, told.items[0].expires_at) == (A, True, "vera", None)
    assert [rule.id for rule in (await house.do(c.ListNetworkRules())).countries] == [rule.id for rule in told.items], "the front door is told of both"
    house.clock.advance(minutes=16)
    assert await shown(house) == [f"only {A}"]
    await house.do(c.RemoveCountryRule(actor=VERA, rule_id=for_ever.id, asked_from=FROM_A))
    assert await shown(house) == []
    with pytest.raises(NotFound):
        await house.do(c.RemoveCountryRule(actor=VERA, rule_id=for_ever.id))
    rows = await house.deps.store.database.all("select country, ended_by from country_rule order by country")
    assert [(row["country"], row["ended_by"]) for row in rows] == [(A, "vera"), ("FR", "")], "they stay on record"


@pytest.mark.parametrize("code", ["UK", "XX", "EU", "ZZ", "12", "D "])
async def test_a_code_that_is_no_countrys_is_refused(house: House, code: str):
    with pytest.raises(Invalid, match="write its ISO 3166 code, as DE, or GB"):
        await say(house, "block", code)


def test_countries_are_known_by_their_codes():
    assert {"DE", "GB", "RU", "US", "XK"} <= codes()
    assert 245 <= len(codes()) <= 265


@pytest.mark.parametrize(
    ("kind", "country", "client", "told"),
    [
        ("block", A, FROM_A, f"you come from {A} yourself"),
        ("only", B, FROM_A, f"you come from {A} yourself"),
        ("only", A, FROM_NOWHERE, "you come from a country that is not known yourself"),
    ],
)
async def test_nobody_shuts_out_themselves_by_their_country_unless_they_say_so(house: House, kind: str, country: str, client: str, told: str):
    with pytest.raises(Invalid, match=f"{told}.*send force = true"):
        await say(house, kind, country, client)
    assert await shown(house) == []
    await say(house, kind, country, client, force=True)
    assert await shown(house) == [f"{kind} {country}"]


async def test_who_is_let_in_otherwise_is_not_shut_out(house: House):
    await say(house, "only", A)
    await say(house, "only", B)
    await network(house, "allow", f"{FROM_A}/32")
    await say(house, "block", A)
    assert await shown(house) == [f"block {A}", f"only {B}", f"only {A}"]


async def test_what_lets_somebody_in_they_do_not_remove_unless_they_say_so(house: House):
    allowed = await say(house, "allow", B, FROM_B)
    with pytest.raises(Invalid, match=f"it is a rule of these that lets you in, from {FROM_B}.*send force = true"):
        await house.do(c.RemoveCountryRule(actor=VERA, rule_id=allowed.id, asked_from=FROM_B))
    own = await say(house, "only", A)
    await say(house, "only", "FR")
    for rule, client, country in ((own, FROM_A, A), (allowed, FROM_B, B)):
        with pytest.raises(Invalid, match=f"you come from {country} yourself"):
            await house.do(c.RemoveCountryRule(actor=VERA, rule_id=rule.id, asked_from=client))
        await house.do(c.RemoveCountryRule(actor=VERA, rule_id=rule.id, asked_from=client, force=True))
    assert await shown(house) == ["only FR"]


async def test_the_same_holds_for_networks(house: House):
    with pytest.raises(Invalid, match=f"you come from {FROM_A} yourself.*send force = true"):
        await network(house, "block", "198.51.100.0/24")
    allowed = await network(house, "allow", f"{FROM_A}/32")
    await network(house, "block", "198.51.100.0/24")
    with pytest.raises(Invalid, match=f"you come from {FROM_A} yourself"):
        await house.do(c.RemoveNetworkRule(actor=VERA, rule_id=allowed.id, asked_from=FROM_A))
    await house.do(c.RemoveNetworkRule(actor=VERA, rule_id=allowed.id, asked_from=FROM_A, force=True))
    assert [rule.kind for rule in (await house.do(c.ListNetworkRules())).items] == ["block"]


async def test_without_a_file_there_is_nothing_to_say_of_countries(tmp_path: Path):
    async with open_house(tmp_path) as house:
        with pytest.raises(DomainError, match="TORG_GEO=a file in MaxMind's format"):
            await say(house, "block", "FR")
        told = await house.do(c.ListCountryRules(asked_from=FROM_A))
        assert (told.from_country, told.known) == ("", False)
