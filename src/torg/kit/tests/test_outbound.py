"""Addresses that others have named: our own machines are none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from socket import AddressFamily

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from torg.kit.outbound import LARGEST, Outbound, PublicOnly, Refused

INSIDE = [
    "http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/",
    "https://169.254.169.254/latest/meta-data", "https://0.0.0.0/", "https://[::ffff:127.0.0.1]/", "https://[fd00::1]/", "https://[fe80::1]/", "https://224.0.0.1/",
    "https://db.internal/", "https://printer.local/", "ftp://example.com/", "file:///etc/passwd", "gopher://x/",
    "https://user:pass@example.com/", "https://", "",
    "https://[broken", "https://100.64.0.1/",
]  # fmt: skip
NOTATIONS = [
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.1",
    "127.0.1",
    "0",
    "127.0.0.1.",
    "2852039166",
    "0xa9fea9fe",
    "[::]",
    "[::1%25lo]",
    "[0:0:0:0:0:ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[2002:7f00:1::]",
    "[2001:db8::1]",
    "[fec0::1]",
    "[64:ff9b:1::7f00:1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[2001:4860::5efe:10.0.0.1]",
    "[2001:4860::200:5efe:a9fe:a9fe]",
    "[5f00::1]",
    "[3fff::1]",
    "192.88.99.1",
    "[ff02::1]",
    "192.0.2.1",
    "198.18.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.0.8",
    "localhost.",
    "LOCALHOST",
    "a.localhost",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "metadata.google.internal",
    "metadata.google.internal.",
    "printer.local.",
]
"""How attackers write addresses that are not to be asked."""
UNASKED = r"no public address|is no address|is not a canonical IPv4 address|ssl:default \[None\]"
"""What is said of them: nothing was connected to. The last is what the library makes of a resolver's refusal."""


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A server on this machine: /here says so, /away redirects there, /much has no end, /wrong is an error."""

    async def here(_: web.Request) -> web.Response:
        return web.json_response({"here": True})

    async def away(_: web.Request) -> web.Response:
        raise web.HTTPFound("/here")

    async def much(_: web.Request) -> web.Response:
        return web.Response(body=b" " * (LARGEST + 2))

    async def wrong(_: web.Request) -> web.Response:
        return web.Response(status=500)

    app = web.Application()
    for path, show in {"/here": here, "/away": away, "/much": much, "/wrong": wrong}.items():
        app.router.add_get(path, show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("url", INSIDE)
async def test_what_is_inside_or_not_over_tls_is_not_asked(url: str) -> None:
    outbound = Outbound()
    with pytest.raises(Refused):
        await outbound.get_json(url)
    with pytest.raises(Refused):
        await outbound.post_form(url, {})
    await outbound.close()


async def test_a_name_of_this_machine_is_seen_when_it_is_resolved() -> None:
    resolver = PublicOnly()
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("localhost", 443)
    await resolver.close()


async def test_redirects_errors_and_floods_are_refused(address: str) -> None:
    outbound = Outbound(inside=True)
    assert await outbound.get_json(f"{address}/here") == {"here": True}
    for path in ("/away", "/much", "/wrong", "/nowhere"):
        with pytest.raises(Refused):
            await outbound.get_json(f"{address}{path}")
    with pytest.raises(Refused):
        await outbound.get_json("http://127.0.0.1:1/")
    await outbound.close()


@pytest.mark.parametrize("host", NOTATIONS, ids=ascii)
async def test_an_address_inside_is_one_however_it_is_written(host: str) -> None:
    outbound = Outbound()
    with pytest.raises(Refused, match=UNASKED):
        await outbound.get_json(f"https://{host}/")
    await outbound.close()


class Names(AbstractResolver):
    """Names as others have them: what each says, one after the other."""

    def __init__(self, *said: list[str]) -> None:
        self._said, self.asked = list(said), 0

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_INET) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        return [ResolveResult(hostname=host, host=one, port=port, family=AddressFamily.AF_INET, proto=0, flags=0) for one in addresses]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    "said",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["64:ff9b:1::7f00:1"],
        ["2002:7f00:1::"],
    ],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_not_asked_not_even_by_one_of_its_addresses(said: list[str]) -> None:
    resolver = PublicOnly(Names(said))
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("rebind.example", 443)


async def test_a_name_that_changes_its_mind_is_looked_at_each_time() -> None:
    """Rebinding: public when it is looked at, inside when it is connected to. Both are one look here."""
    names = Names(["93.184.216.34"], ["127.0.0.1"])
    resolver = PublicOnly(names)
    assert [one["host"] for one in await resolver.resolve("rebind.example", 443)] == ["93.184.216.34"]
    assert names.asked == 1
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("rebind.example", 443)


@pytest.mark.parametrize("said", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::93.184.216.34", "2001:4860::5efe:93.184.216.34"])
async def test_addresses_outside_are_asked(said: str) -> None:
    assert [one["host"] for one in await PublicOnly(Names([said])).resolve("outside.example", 443)] == [said]
