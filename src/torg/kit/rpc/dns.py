"""Discovery by DNS: a name's A and AAAA records, each an instance (a headless Service in Kubernetes), or its SRV records with their ports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.rpc.peers import Instances
from torg.kit.settings import BadSettings

SOONEST, LATEST = 1.0, 10.0  # seconds between two questions about a name, whatever its records' time to live
ASKED = 3.0  # seconds for an answer
USED = 60.0  # seconds that a name nobody asks for is still looked up
HOST = "{context}"

Find = Callable[[str], Awaitable[tuple[Sequence[str], float]]]
"""The addresses of a context, and for how many seconds they hold."""


class DnsPeers:
    """Implements Peers: what was found last goes on to be used while nobody can be asked."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[str, Instances] = {}
        self._until: dict[str, float] = {}
        self._used: dict[str, float] = {}
        self._turn = asyncio.Lock()

    async def of(self, context: str) -> Instances:
        self._used[context] = time.monotonic()
        if context not in self._known:
            async with self._turn:
                if context not in self._known:
                    await self._look(context)
        return self._known[context]

    async def run(self) -> None:
        while True:
            now = time.monotonic()
            for context, until in tuple(self._until.items()):
                if until <= now and now - self._used[context] < USED:
                    await self._look_again(context)
            await asyncio.sleep(SOONEST / 2)

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None:
        """Whoever runs the DNS knows."""

    async def close(self) -> None: ...

    async def _look_again(self, context: str) -> None:
        try:
            await self._look(context)
        except Unavailable as away:
            self._until[context] = time.monotonic() + SOONEST
            telemetry.log.warning("the DNS does not answer", context=context, detail=away.detail)

    async def _look(self, context: str) -> None:
        addresses, seconds = await self._find(context)
        self._known[context] = Instances(tuple(sorted(addresses)))
        self._until[context] = time.monotonic() + min(max(seconds, SOONEST), LATEST)


def open_dns(discovery: str) -> DnsPeers:
    """`dns://{context}.torg.svc.cluster.local:8000`, or `dns+srv://_http._tcp.{context}.torg…`; `?server=10.0.0.10:53` asks that one and not the
    system's. Raises BadSettings."""
    parts = urlsplit(discovery.replace(HOST, "CONTEXT"))
    name, _, port = parts.netloc.partition(":")
    if "CONTEXT" not in name or (parts.scheme == "dns" and not port.isdecimal()):
        raise BadSettings(f"TORG_DISCOVERY={discovery!r}: say dns://{{context}}.name:port, or dns+srv://_http._tcp.{{context}}.name")
    resolver, template = _resolver(parse_qs(parts.query).get("server", [""])[0]), name.replace("CONTEXT", HOST)
    if parts.scheme == "dns":
        return DnsPeers(lambda context: by_address(resolver, template.replace(HOST, context), int(port)))
    return DnsPeers(lambda context: by_service(resolver, template.replace(HOST, context)))


async def by_address(resolver: dns.asyncresolver.Resolver, name: str, port: int) -> tuple[Sequence[str], float]:
    """All A records, or all AAAA where there are none. Raises Unavailable."""
    for kind, form in (("A", "{}:{}"), ("AAAA", "[{}]:{}")):
        found, seconds = await _records(resolver, name, kind)
        if found:
            return [form.format(record.address, port) for record in found], seconds
    return (), 0


async def by_service(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[Sequence[str], float]:
    """The targets of the SRV records (RFC 2782) of the best priority; load decides among them, not their weights. Raises Unavailable."""
    found, seconds = await _records(resolver, name, "SRV")
    best = min((record.priority for record in found), default=0)
    addresses: list[str] = []
    for record in (record for record in found if record.priority == best):
        several, held = await by_address(resolver, record.target.to_text(), record.port)
        addresses, seconds = [*addresses, *several], min(seconds, held)
    return addresses, seconds


async def _records(resolver: dns.asyncresolver.Resolver, name: str, kind: str) -> tuple[Sequence[Any], float]:
    try:
        answer = await resolver.resolve(name, kind, lifetime=ASKED, search=True)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return (), 0
    except dns.exception.DNSException as error:
        raise Unavailable(f"nobody could be asked for {kind} of {name}: {error}") from error
    return list(answer), answer.rrset.ttl if answer.rrset else 0


def _resolver(server: str) -> dns.asyncresolver.Resolver:
    if not server:
        return dns.asyncresolver.Resolver()
    host, _, port = server.rpartition(":")
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = [host.strip("[]")], int(port)
    return resolver
