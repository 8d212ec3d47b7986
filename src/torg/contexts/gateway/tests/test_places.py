"""The front door: who is kept out by where they come from, and who is believed about that."""

from __future__ import annotations

from pathlib import Path

import pytest

from torg.contexts.gateway.adapters.networks import Proxies
from torg.contexts.gateway.tests.street import ADDRESS, Street, times
from torg.kit.countries import open_atlas
from torg.kit.settings import BadSettings
from torg.kit.testing.countries import mapped

# ---------------------------------------------------------------- networks


async def test_a_blocked_network_is_kept_out_until_its_time_is_over():
    street = Street()
    await street.block("198.51.100.0/24", minutes=15)
    await street.block("2001:db8::/32", minutes=30)
    for client in (ADDRESS, f"::ffff:{ADDRESS}", "2001:db8::1"):
        refused = await street.ask("/", client=client)
        assert (refused.status, refused.code) == (403, "network.blocked")
    assert (await street.ask("/", client="198.51.101.1")).status == 200
    street.clock.advance(minutes=16)
    await street.lists.look()
    assert [(await street.ask("/", client=client)).status for client in (ADDRESS, "2001:db8::1")] == [200, 403]


@pytest.mark.parametrize("network", [f"::ffff:{ADDRESS}/128", "::ffff:198.51.100.0/120", "::ffff:c633:6400/120"])
def test_a_proxy_in_the_clothes_of_the_new_kind_is_that_of_the_old(network: str):
    proxies = Proxies.named(network)
    assert proxies is not None
    assert [client in proxies for client in (ADDRESS, f"::ffff:{ADDRESS}", "198.51.101.1")] == [True, True, False]


async def test_who_is_allowed_is_let_in_and_not_counted_by_address():
    street = Street(limits={"address": {"requests": 1}, "all": {"requests": 2}})
    await street.block("198.51.100.0/24")
    await street.block(f"{ADDRESS}/32", kind="allow")
    assert await times(5, lambda: street.ask("/api/v1/products")) == [200] * 5
    assert await times(3, lambda: street.ask("/api/v1/products", "anna")) == [200, 200, 429]


async def test_the_last_lists_hold_while_nobody_tells_of_new_ones_and_no_longer_than_they_were_meant_to():
    street = Street()
    await street.block(f"{ADDRESS}/32", minutes=15)
    street.away = True
    await street.lists.look()
    assert (await street.ask("/")).status == 403
    street.clock.advance(minutes=16)
    await street.lists.look()
    assert (await street.ask("/")).status == 200


@pytest.fixture
def geo(tmp_path: Path) -> str:
    return mapped(tmp_path / "countries.mmdb", {"198.51.100.0/24": "AA", "203.0.113.0/24": "BB", "2001:db8::/32": "BB"})


async def test_a_country_may_be_left_out_or_be_the_only_one(geo: str):
    clients = ("198.51.100.7", "203.0.113.7", "2001:db8::7", "192.0.2.7")
    without = Street(geo=geo, countries={"blocked": ["BB"]})
    assert [(await without.ask("/", client=client)).status for client in clients] == [200, 403, 403, 200]
    alone = Street(geo=geo, countries={"only": ["BB"]})
    assert [(await alone.ask("/", client=client)).status for client in clients] == [403, 200, 200, 403]
    assert (await alone.ask("/", client=clients[0])).code == "country.not_served"


FROM_A, FROM_B, FROM_NOWHERE = "198.51.100.7", "203.0.113.7", "192.0.2.7"


async def test_what_staff_say_of_countries_counts_before_what_is_declared_until_its_time_is_over(geo: str):
    street = Street(geo=geo, countries={"blocked": ["BB"]})
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, False, True]
    await street.say("block", "AA", minutes=15)
    await street.say("allow", "BB", minutes=30)
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [False, True, True]
    assert (await street.ask("/", client=FROM_A)).code == "country.not_served"
    street.clock.advance(minutes=16)
    await street.lists.look()
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, True, True]
    street.clock.advance(minutes=15)
    street.away = True
    await street.lists.look()
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, False, True], "also while nobody tells of it"


async def test_where_some_are_let_in_alone_all_others_are_not_and_allowed_goes_before_blocked(geo: str):
    street = Street(geo=geo)
    await street.say("only", "BB", "CC")
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [False, True, False]
    await street.say("allow", "AA")
    await street.say("block", "AA", "BB")
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, False, False]
    await street.block(f"{FROM_NOWHERE}/32", kind="allow")
    assert await street.lets_in(FROM_NOWHERE) == [True], "a network that is allowed is so wherever it is"
    street.countries.clear()
    await street.lists.look()
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, True, True]


async def test_without_a_file_rules_about_countries_hold_nobody_up():
    street = Street()
    await street.say("only", "BB")
    assert await street.lets_in(FROM_A, FROM_B, FROM_NOWHERE) == [True, True, True]


def test_a_file_of_countries_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "text.mmdb").write_text("AA")
    for name in ("text.mmdb", "none.mmdb"):
        with pytest.raises(BadSettings, match=name):
            open_atlas(str(tmp_path / name))


# ---------------------------------------------------------------- proxies


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("198.51.100.7", "192.0.2.66", "198.51.100.7"),
    ],
)
async def test_where_a_request_comes_from_only_named_proxies_may_say(peer: str, forwarded: str, client: str):
    street = Street(proxies="10.0.0.0/8, fd00::/8")
    await street.ask("/", client=peer, headers=[("x-forwarded-for", forwarded), ("x-forwarded-proto", "https")] if forwarded else [])
    assert street.inside[0]["client"][0] == client
    assert street.inside[0]["scheme"] == ("https" if forwarded and not peer.startswith("198") else "http")


async def test_nobody_is_believed_where_no_proxy_is_named():
    street = Street()
    await street.ask("/", headers=[("x-forwarded-for", "192.0.2.66"), ("x-forwarded-proto", "https")])
    assert (street.inside[0]["client"][0], street.inside[0]["scheme"]) == (ADDRESS, "http")


def test_what_names_no_network_is_no_proxy():
    with pytest.raises(BadSettings, match=r"TORG_PROXIES: .*10\.0\.0\.0/8,fd00::/8"):
        Proxies.named("10.0.0.300")


@pytest.mark.parametrize(
    ("path", "method", "accept", "status"),
    [
        ("/cart", "GET", "text/html", 308), ("/", "HEAD", "text/html", 308), ("/cart", "POST", "text/html", 403), ("/api/v1/cart", "GET", "text/html", 403),
        ("/api/v1/sessions", "POST", "*/*", 403), ("/cart", "GET", "*/*", 403), ("/oauth/token", "POST", "*/*", 403), ("/ready", "GET", "*/*", 200),
    ],
)  # fmt: skip
async def test_pages_are_led_to_https_and_programs_are_told(path: str, method: str, accept: str, status: int):
    street, proxy = Street(proxies="10.0.0.0/8", address="https://shop.example/"), "10.0.0.1"
    forwarded = [("x-forwarded-for", ADDRESS), ("accept", accept), ("host", "evil.example")]
    answer = await street.ask(path, method=method, client=proxy, headers=[*forwarded, ("x-forwarded-proto", "http")])
    assert (answer.status, bool(street.inside)) == (status, status == 200)
    assert answer.headers.get("location") == (f"https://shop.example{path}" if status == 308 else None)
    if status == 403:
        assert answer.code == "https.required"
    assert status == 200 or answer.headers["strict-transport-security"]
    assert (await street.ask(path, method=method, client=proxy, headers=[*forwarded, ("x-forwarded-proto", "https")])).status == 200


async def test_who_is_no_named_proxy_says_nothing_of_https_and_a_shop_on_a_laptop_needs_none():
    for street in (Street(address="https://shop.example"), Street(proxies="10.0.0.0/8", address="http://127.0.0.1:8000")):
        headers = [("x-forwarded-for", ADDRESS), ("x-forwarded-proto", "http"), ("accept", "text/html")]
        assert (await street.ask("/cart", client="10.0.0.1", headers=headers)).status == 200
