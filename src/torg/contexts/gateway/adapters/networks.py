"""Who is known by address: the staff's lists, countries, and the proxies whose word counts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from ipaddress import IPv6Address, ip_network
from typing import Final

from torg.contexts.admin.contracts import NetworkRules
from torg.contexts.gateway.model import Countries
from torg.kit import telemetry
from torg.kit.countries import Atlas, ruled
from torg.kit.errors import Unavailable
from torg.kit.networks import Networks, networks_of, parsed
from torg.kit.values import Clock

LOOKS: Final = 2.0  # seconds between two looks at the staff's lists
KNOWN: Final = 10_000  # addresses whose standing is remembered between two looks
SHARED: Final = 64  # bits of an IPv6 address that belong to one customer of a network


class Standing(IntEnum):
    ORDINARY = 0
    ALLOWED = 1
    BLOCKED = 2
    ELSEWHERE = 3
    """In a country that is not served."""


def shared(client: str) -> str:
    """By what an address is counted: of IPv6 the network, as one customer has 2^64 addresses."""
    address = parsed(client) if ":" in client else None
    return str(ip_network((address, SHARED), strict=False)) if isinstance(address, IPv6Address) else client


class Proxies:
    """Those whose X-Forwarded-For and X-Forwarded-Proto are believed."""

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._trusted: dict[str, bool] = {}

    @classmethod
    def named(cls, text: str) -> Proxies | None:
        """By TORG_PROXIES: networks, with commas between them. Raises BadSettings."""
        networks = networks_of("TORG_PROXIES", text)
        return cls(networks) if networks else None

    def __contains__(self, peer: str) -> bool:
        found = self._trusted.get(peer)
        if found is None:
            address = parsed(peer)
            if len(self._trusted) >= KNOWN:
                self._trusted.clear()
            found = self._trusted[peer] = address is not None and address in self._networks
        return found

    def client(self, peer: str, forwarded: Sequence[bytes]) -> str:
        """Whom the request comes from: the last of the chain that no proxy of ours is. What stands before that, anybody may have written."""
        for hop in reversed([hop.strip() for value in forwarded for hop in value.decode("latin-1").split(",")]):
            address = parsed(hop)
            if address is None:
                return peer
            peer = str(address)
            if peer not in self:
                return peer
        return peer


class Lists:
    """What is to be done with an address. `look` asks for the staff's rules anew; while nobody answers, the last ones hold until their own ends."""

    def __init__(self, ask: Callable[[], Awaitable[NetworkRules]], countries: Countries, atlas: Atlas | None, clock: Clock) -> None:
        self._ask, self._countries, self._atlas, self._clock = ask, countries, atlas, clock
        self._rules = NetworkRules(())
        self._sets: Mapping[str, Networks] = {}
        self._ruled: Mapping[str, frozenset[str]] = {}
        self._next: datetime | None = None
        self._known: dict[str, Standing] = {}
        self._indifferent = atlas is None

    async def run(self) -> None:
        """Looks again and again, for as long as the process lives."""
        while True:
            await self.look()
            await asyncio.sleep(LOOKS)

    async def look(self) -> None:
        try:
            rules = await self._ask()
        except Unavailable:  # /ready tells of it; what was known still holds
            rules = self._rules
        now = self._clock()
        if rules != self._rules or (self._next and self._next <= now):
            self._take(rules, now)

    def _take(self, rules: NetworkRules, now: datetime) -> None:
        networks = [rule for rule in rules.items if rule.expires_at is None or rule.expires_at > now]
        countries = [rule for rule in rules.countries if rule.expires_at is None or rule.expires_at > now]
        self._sets = {kind: Networks(ip_network(rule.network) for rule in networks if rule.kind == kind) for kind in ("allow", "block")}
        self._ruled = {kind: frozenset(rule.country for rule in countries if rule.kind == kind) for kind in ("allow", "block", "only")}
        ends = [rule.expires_at for rule in networks] + [rule.expires_at for rule in countries]
        self._next = min(filter(None, ends), default=None)
        self._rules, self._indifferent = rules, self._atlas is None and not networks
        self._known.clear()
        if countries and self._atlas is None:
            telemetry.log.warning("rules about countries hold nobody up here: TORG_GEO names no file", rules=len(countries))

    def standing(self, client: str) -> Standing:
        if self._indifferent:
            return Standing.ORDINARY
        found = self._known.get(client)
        if found is None:
            if len(self._known) >= KNOWN:
                self._known.clear()
            found = self._known[client] = self._judge(client)
        return found

    def _judge(self, client: str) -> Standing:
        """A network that is allowed is so whatever else is said of it; of countries the staff's rules count before those that were declared."""
        address = parsed(client)
        if address is None:
            return Standing.ORDINARY
        for kind, standing in (("allow", Standing.ALLOWED), ("block", Standing.BLOCKED)):
            if address in self._sets.get(kind, ()):
                return standing
        if self._atlas is None:
            return Standing.ORDINARY
        country = self._atlas.country(address)
        admitted = ruled(country, self._ruled)
        return Standing.ORDINARY if (self._countries.admit(country) if admitted is None else admitted) else Standing.ELSEWHERE
