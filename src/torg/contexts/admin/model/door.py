"""What the staff say about networks and countries at the front door: what a rule may be about, and whom rules shut out."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

from torg.contexts.admin.contracts import CountryRule, NetworkRule
from torg.kit.countries import codes, ruled
from torg.kit.errors import FieldError, Invalid
from torg.kit.networks import network_as, parsed

WIDEST: Final = {4: 8, 6: 16}
"""The shortest prefixes that a rule may be about: a slip must not shut out the world."""
ANYWAY: Final = "; send force = true to do it all the same"


def network_of(text: str) -> str:
    """A network as it is written everywhere: 203.0.113.7 is 203.0.113.7/32. Raises Invalid for what is none, and what is too wide."""
    try:
        network = network_as(text.strip(), strict=False)
    except ValueError:
        raise Invalid.fields(FieldError("network", "invalid", f"{text!r} is no network: write 203.0.113.0/24, 2001:db8::/32 or one address")) from None
    if network.prefixlen < WIDEST[network.version]:
        raise Invalid.fields(FieldError("network", "too_wide", f"/{network.prefixlen} is too wide: /{WIDEST[network.version]} at most"))
    return str(network)


def country_of(text: str) -> str:
    """A country's code as it is written everywhere. Raises Invalid for what is none."""
    code = text.strip().upper()
    if code not in codes():
        raise Invalid.fields(FieldError("country", "unknown", f"{text!r} is no country: write its ISO 3166 code, as DE, or GB for the United Kingdom"))
    return code


def shut_out(networks: Iterable[NetworkRule], countries: Iterable[CountryRule], client: str, country: str) -> str:
    """Whence somebody comes who gets in no more by these rules; empty where they do, as far as rules have it."""
    address = parsed(client)
    if address is None:
        return ""
    kinds = {rule.kind for rule in networks if address in ip_network(rule.network)}
    if kinds:
        return "" if "allow" in kinds else client
    found = ruled(country, _by_kind(countries))
    return (country or "a country that is not known") if found is False else ""


def needs(networks: Iterable[NetworkRule], countries: Iterable[CountryRule], client: str, country: str) -> bool:
    """Whether it is by a rule that somebody is let in: without it, what is declared for the front door counts, of which nothing is known here."""
    address = parsed(client)
    return address is not None and (
        any(rule.kind == "allow" and address in ip_network(rule.network) for rule in networks) or ruled(country, _by_kind(countries)) is True
    )


def refuse_to_shut_out(
    before: tuple[Iterable[NetworkRule], Iterable[CountryRule]], after: tuple[Iterable[NetworkRule], Iterable[CountryRule]], client: str, country: str,
    field: str,
) -> None:  # fmt: skip
    """Raises Invalid where the change is what shuts out, or may shut out, the one who asks for it."""
    if (place := shut_out(*after, client, country)) and not shut_out(*before, client, country):
        raise Invalid.fields(FieldError(field, "own", f"you come from {place} yourself: this would shut you out{ANYWAY}"))
    if needs(*before, client, country) and not needs(*after, client, country):
        raise Invalid.fields(FieldError(field, "own", f"it is a rule of these that lets you in, from {client}: without it you may be shut out{ANYWAY}"))


def _by_kind(countries: Iterable[CountryRule]) -> dict[str, frozenset[str]]:
    rules = list(countries)
    return {kind: frozenset(rule.country for rule in rules if rule.kind == kind) for kind in ("allow", "block", "only")}
