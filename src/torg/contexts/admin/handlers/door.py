"""Who is let in by where they come from: networks and countries."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from torg.contexts.admin import contracts as c
from torg.contexts.admin.model.door import country_of, network_of, refuse_to_shut_out
from torg.contexts.admin.ports import AdminDeps, Rules
from torg.kit.errors import DomainError, NotFound
from torg.kit.networks import parsed

About = Literal["network", "country"]
Change = c.AddNetworkRule | c.RemoveNetworkRule | c.AddCountryRule | c.RemoveCountryRule
Holding = tuple[tuple[c.NetworkRule, ...], tuple[c.CountryRule, ...]]


async def list_network_rules(_: c.ListNetworkRules, deps: AdminDeps) -> c.NetworkRules:
    networks, countries = await _holding(deps)
    return c.NetworkRules(networks, countries=countries)


async def get_network_rule(query: c.GetNetworkRule, deps: AdminDeps) -> c.NetworkRule:
    for rule in await deps.networks.holding(deps.clock()):
        if rule.id == query.rule_id:
            return rule
    raise _ended("network")


async def add_network_rule(cmd: c.AddNetworkRule, deps: AdminDeps) -> c.NetworkRule:
    rule = c.NetworkRule(network=network_of(cmd.network), kind=cmd.kind, **_said(cmd, deps))
    networks, countries = before = await _holding(deps)
    _spare_themselves(cmd, deps, before, ((*networks, rule), countries), "network")
    async with deps.transaction() as tx:
        await deps.networks.add(tx, rule)
    return rule


async def remove_network_rule(cmd: c.RemoveNetworkRule, deps: AdminDeps) -> None:
    await _remove(cmd, deps, deps.networks, "network")


async def list_country_rules(query: c.ListCountryRules, deps: AdminDeps) -> c.CountryRules:
    return c.CountryRules(await deps.countries.holding(deps.clock()), _country(query.asked_from, deps), deps.atlas is not None)


async def get_country_rule(query: c.GetCountryRule, deps: AdminDeps) -> c.CountryRule:
    for rule in await deps.countries.holding(deps.clock()):
        if rule.id == query.rule_id:
            return rule
    raise _ended("country")


async def add_country_rule(cmd: c.AddCountryRule, deps: AdminDeps) -> c.CountryRule:
    if deps.atlas is None:
        raise DomainError("country_rule.no_file", "nobody here can tell countries from addresses: start the shop with TORG_GEO=a file in MaxMind's format")
    rule = c.CountryRule(country=country_of(cmd.country), kind=cmd.kind, **_said(cmd, deps))
    networks, countries = before = await _holding(deps)
    _spare_themselves(cmd, deps, before, (networks, (*countries, rule)), "country")
    async with deps.transaction() as tx:
        await deps.countries.add(tx, rule)
    return rule


async def remove_country_rule(cmd: c.RemoveCountryRule, deps: AdminDeps) -> None:
    await _remove(cmd, deps, deps.countries, "country")


async def _remove(cmd: c.RemoveNetworkRule | c.RemoveCountryRule, deps: AdminDeps, rules: Rules[Any], about: About) -> None:
    networks, countries = before = await _holding(deps)
    left = tuple(rule for rule in networks if rule.id != cmd.rule_id), tuple(rule for rule in countries if rule.id != cmd.rule_id)
    _spare_themselves(cmd, deps, before, left, "rule_id")
    async with deps.transaction() as tx:
        if not await rules.end(tx, cmd.rule_id, cmd.actor.user_id, deps.clock()):
            raise _ended(about)


def _said(cmd: c.AddNetworkRule | c.AddCountryRule, deps: AdminDeps) -> dict[str, Any]:
    """What every rule says, whatever it is about."""
    now = deps.clock()
    end = now + timedelta(minutes=cmd.minutes) if cmd.minutes else None
    return {"id": deps.new_id(), "reason": cmd.reason.strip(), "added_by": cmd.actor.user_id, "added_at": now, "expires_at": end}


def _spare_themselves(cmd: Change, deps: AdminDeps, before: Holding, after: Holding, field: str) -> None:
    if not cmd.force:
        refuse_to_shut_out(before, after, cmd.asked_from, _country(cmd.asked_from, deps), field)


async def _holding(deps: AdminDeps) -> Holding:
    now = deps.clock()
    return await deps.networks.holding(now), await deps.countries.holding(now)


def _country(client: str, deps: AdminDeps) -> str:
    return deps.atlas.country(parsed(client)) if deps.atlas else ""


def _ended(about: About) -> NotFound:
    return NotFound(f"{about}_rule.not_found", "there is no such rule, or it has ended already")
