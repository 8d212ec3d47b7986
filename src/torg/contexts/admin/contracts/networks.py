"""Which networks and countries are let in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Query, message


class NetworkRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes from this network (203.0.113.0/24, 2001:db8::/32) is let in or not; without `expires_at` until somebody removes the rule. What is allowed
    stays so, whatever else says that it is blocked."""

    id: str
    network: str
    kind: Literal["allow", "block"]
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None = None


class CountryRule(msgspec.Struct, frozen=True, kw_only=True):
    """Who comes from this country (ISO 3166, as DE) is let in whatever else is said (`allow`), or is not (`block`); where there are any of the kind `only`,
    whoever comes from none of these countries, or nobody knows from where, is not. Whom no rule leaves out may still be left out by what is declared for the
    front door. Without `expires_at` it holds until somebody removes it."""

    id: str
    country: str
    kind: Literal["allow", "block", "only"]
    reason: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None = None


class NetworkRules(msgspec.Struct, frozen=True):
    items: tuple[NetworkRule, ...]
    next_cursor: str | None = None
    countries: tuple[CountryRule, ...] = ()


@message("admin.get_network_rule")
class GetNetworkRule(Query[NetworkRule], frozen=True):
    """One that holds now. Raises NotFound `network_rule.not_found`."""

    rule_id: str


@message("admin.list_network_rules")
class ListNetworkRules(Query[NetworkRules], frozen=True):
    """Those that hold now, newest first; with those about countries."""


@message("admin.add_network_rule")
class AddNetworkRule(Command[NetworkRule], frozen=True, kw_only=True):
    """Has the front door let nobody in from a network, or everybody whatever else is said of it, for so many minutes (None: until it is removed). It takes
    effect within a few seconds. Raises Invalid for a network that is none, that covers more than a sixteenth of all addresses, or, unless it is by `force`,
    that `asked_from` lies in itself where it is to be blocked."""

    actor: Identity
    asked_from: str
    network: Annotated[str, msgspec.Meta(min_length=2, max_length=64)]
    kind: Literal["allow", "block"]
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    minutes: Annotated[int, msgspec.Meta(ge=1, le=525600)] | None = None
    force: bool = False


@message("admin.remove_network_rule")
class RemoveNetworkRule(Command[None], frozen=True, kw_only=True):
    """Ends a rule. Raises NotFound `network_rule.not_found`; Invalid where it is what lets `asked_from` in, unless it is by `force`."""

    actor: Identity
    rule_id: str
    asked_from: str = ""
    force: bool = False


class CountryRules(msgspec.Struct, frozen=True):
    """`from_country`: whence the one comes who asks, empty where that is not known; `known`: whether there is a file that tells countries from addresses,
    without which no rule holds anybody up."""

    items: tuple[CountryRule, ...]
    from_country: str
    known: bool
    next_cursor: str | None = None


@message("admin.get_country_rule")
class GetCountryRule(Query[CountryRule], frozen=True):
    """One that holds now. Raises NotFound `country_rule.not_found`."""

    rule_id: str


@message("admin.list_country_rules")
class ListCountryRules(Query[CountryRules], frozen=True):
    """Those that hold now, newest first."""

    asked_from: str = ""


@message("admin.add_country_rule")
class AddCountryRule(Command[CountryRule], frozen=True, kw_only=True):
    """Has the front door leave out who comes from a country, or let them in whatever is declared, or let in these countries only, for so many minutes (None:
    until it is removed). It takes effect within a few seconds. Raises Invalid for a code that is no country's, and where it would shut out `asked_from`,
    unless it is by `force`; DomainError `country_rule.no_file` where nobody can tell countries from addresses."""

    actor: Identity
    asked_from: str
    country: Annotated[str, msgspec.Meta(min_length=2, max_length=2)]
    kind: Literal["allow", "block", "only"]
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    minutes: Annotated[int, msgspec.Meta(ge=1, le=525600)] | None = None
    force: bool = False


@message("admin.remove_country_rule")
class RemoveCountryRule(Command[None], frozen=True, kw_only=True):
    """Ends a rule. Raises NotFound `country_rule.not_found`; Invalid where the others would then shut out `asked_from`, or it is what lets them in, unless it
    is by `force`."""

    actor: Identity
    rule_id: str
    asked_from: str = ""
    force: bool = False
