"""Asks addresses that others have named. Somebody could name one of our own machines (server-side request forgery), so that only public addresses are
asked, over HTTPS, without following redirects, with an end to time and size. What is resolved is what is connected to: a name that changes its mind in
between gains nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from socket import AddressFamily
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

LARGEST: Final = 256 << 10  # bytes of an answer that is read
NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that a translator takes for those of the old kind in their last 32 bits (RFC 6052)."""
UNICAST: Final = (IPv6Network("2000::/3"), NAT64)
"""All of the new kind that is given to anybody outside; among the rest are translators of one network alone (RFC 8215) and forms of the old kind."""
ISATAP: Final = (0x5EFE, 0x0200_5EFE)
"""What stands before an address of the old kind in the last 64 bits of one of the new (RFC 5214)."""
OURS: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
"""What is nobody's address outside, though some versions of Python say so."""
PATIENCE: Final = aiohttp.ClientTimeout(total=5, sock_connect=2)


class Refused(Exception):
    """Why nothing came of asking: a sentence."""


class PublicOnly(AbstractResolver):
    """Resolves names to addresses that everybody could reach; who connects takes these and asks no second time."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if inside := [one["host"] for one in found if not _is_public(one["host"])]:
            raise OSError(f"{host} is {inside[0]}, which is no public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


class Outbound:
    """`inside` lets it ask machines of our own and plain HTTP: for a shop that is itself tried out on one."""

    def __init__(self, inside: bool = False) -> None:
        self._inside = inside
        self._session: aiohttp.ClientSession | None = None

    async def get_json(self, url: str, **headers: str) -> Any:
        """Raises Refused."""
        return await self._ask("GET", url, headers)

    async def post_form(self, url: str, form: Mapping[str, str], **headers: str) -> Any:
        """What it answers, if that is JSON. Raises Refused."""
        return await self._ask("POST", url, headers, form)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None) -> Any:
        if fault := self._fault(url):
            raise Refused(fault)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            async with self._open().request(method, url, data=form, headers=sent, allow_redirects=False) as answer:
                body = await answer.content.read(LARGEST + 1)
                while len(body) <= LARGEST and (more := await answer.content.read(LARGEST)):
                    body += more
        except (aiohttp.ClientError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Refused(f"{urlsplit(url).netloc} could not be asked: {error or type(error).__name__}") from error
        if not 200 <= answer.status < 300:
            raise Refused(f"{urlsplit(url).netloc} answered {answer.status}")
        if len(body) > LARGEST:
            raise Refused(f"{urlsplit(url).netloc} answered with more than {LARGEST} bytes")
        try:
            return msgspec.json.decode(body) if body else None
        except msgspec.DecodeError:
            return None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._inside else PublicOnly()
            self._session = aiohttp.ClientSession(timeout=PATIENCE, connector=aiohttp.TCPConnector(resolver=resolver, limit=20), trust_env=False)
        return self._session

    def _fault(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = URL(url).raw_host or "", parts.port  # as it will be asked: ①②⑦.0.0.1 is 127.0.0.1
        except ValueError:
            return f"{url!r} is no address"
        if self._inside:
            return "" if parts.scheme in ("https", "http") and host else f"{url!r} is no address of the web"
        if parts.scheme != "https" or not host or parts.username or parts.password:
            return f"{url!r} is no https:// address"
        return f"{host} is no public address" if _is_inside(host) else ""


def _is_inside(host: str) -> bool:
    """Whether it is written as a number that is no public address; what numbers a name has is seen when it is resolved."""
    host = host.rstrip(".")
    try:
        return not _is_public(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".internal", ".local"))


def _is_public(address: str) -> bool:
    """Also of an address of the new kind that stands for one of the old."""
    number = ip_address(address.partition("%")[0])
    if isinstance(number, IPv6Address) and not number.ipv4_mapped and not any(number in network for network in UNICAST):
        return False
    return all(one.is_global and not one.is_multicast and not any(one in network for network in OURS) for one in _meant(number))


def _meant(number: IPv4Address | IPv6Address) -> list[IPv4Address | IPv6Address]:
    if isinstance(number, IPv4Address):
        return [number]
    if number.ipv4_mapped:
        return [number.ipv4_mapped]
    last = IPv4Address(int(number) & 0xFFFFFFFF) if number in NAT64 or int(number) >> 32 & 0xFFFFFFFF in ISATAP else None
    carried = [number.sixtofour, *(number.teredo or ()), last]
    return [number, *(one for one in carried if one)]
