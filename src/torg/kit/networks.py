"""Addresses, and sets of networks that are asked whether they hold one."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from torg.kit.settings import BadSettings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
MAPPED: Final = 96  # bits before an IPv4 address in IPv6's clothes


def parsed(text: str) -> Address | None:
    """An IPv4 address in IPv6's clothes is the IPv4 address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def network_as(text: str, strict: bool = True) -> Network:
    """A network as addresses are parsed: ::ffff:203.0.113.0/120 is 203.0.113.0/24. Raises ValueError. `strict`: an address within one is none."""
    network = ip_network(text, strict)
    if isinstance(network, IPv4Network):
        return network
    if network.network_address.scope_id:
        raise ValueError(f"{text!r} is a network of one machine's interface")
    inside = network.network_address.ipv4_mapped if network.prefixlen >= MAPPED else None
    return IPv4Network((inside, network.prefixlen - MAPPED)) if inside else network


class Networks:
    """A set of networks, asked in as many steps as there are lengths of prefixes."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._by_length: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            self._by_length.setdefault((network.version, shift), set()).add(int(network.network_address) >> shift)

    def __contains__(self, address: Address) -> bool:
        number = int(address)
        return any(version == address.version and number >> shift in those for (version, shift), those in self._by_length.items())

    def __bool__(self) -> bool:
        return bool(self._by_length)


def networks_of(setting: str, text: str) -> Networks:
    """What a setting names, with commas between them. Raises BadSettings."""
    found: list[Network] = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        try:
            found.append(network_as(word))
        except ValueError as error:
            raise BadSettings(f"{setting}: {error}: name networks as 10.0.0.0/8,fd00::/8, or single addresses") from error
    return Networks(found)
