"""Networks and countries that are blocked or let in."""

from __future__ import annotations

from typing import Any

from torg.contexts.admin.contracts import (
    AddCountryRule,
    AddNetworkRule,
    ListCountryRules,
    ListNetworkRules,
    RemoveCountryRule,
    RemoveNetworkRule,
)
from torg.contexts.admin.model.door import ANYWAY
from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.kit.errors import DomainError, Invalid
from torg.kit.http import Response
from torg.kit.http.forms import read_form
from torg.kit.messages import Command

AT = "/admin/networks"
LENGTHS = (15, 60, 1440, 10080, 43200)  # minutes


async def listed(visit: Visit, refusal: DomainError | None = None, refused: str = "") -> Response:
    """`refused`: "network", "country", or the id of the rule that was to be removed; who would shut out themselves may do so all the same."""
    rules, countries = await visit.ask(ListNetworkRules()), await visit.ask(ListCountryRules(asked_from=visit.request.client))
    names = await visit.names([rule.added_by for rule in rules.items] + [rule.added_by for rule in countries.items])
    typed = await visit.form() if refusal else Given()
    own = refusal is not None and any(fault.code == "own" for fault in refusal.errors)
    if refusal is not None and own:  # the page has a box to tick
        refusal = Invalid(refusal.code, refusal.errors[0].detail.removesuffix(ANYWAY))
    return visit.page(
        "networks.html", refusal, rules=rules.items, countries=countries, names=names, typed=typed, lengths=LENGTHS, client=visit.request.client,
        refused=refused, own=own,
    )  # fmt: skip


async def add(visit: Visit) -> Response:
    return await _added(visit, AddNetworkRule, "network")


async def add_country(visit: Visit) -> Response:
    return await _added(visit, AddCountryRule, "country")


async def _added(visit: Visit, kind: type[AddNetworkRule | AddCountryRule], about: str) -> Response:
    try:
        given = {"actor": visit.identity, "asked_from": visit.request.client}
        message: Command[Any] = read_form(kind, await visit.form(), visit.deps.clock(), **given)
        await visit.ask(message)
    except DomainError as refusal:
        return await listed(visit.back_at(AT), refusal, about)
    return visit.go(AT, "network_added")


async def remove(visit: Visit) -> Response:
    return await _removed(visit, RemoveNetworkRule)


async def remove_country(visit: Visit) -> Response:
    return await _removed(visit, RemoveCountryRule)


async def _removed(visit: Visit, kind: type[RemoveNetworkRule | RemoveCountryRule]) -> Response:
    rule_id, force = visit.of_path("rule_id"), (await visit.form())["force"] == "true"
    try:
        await visit.ask(kind(actor=visit.identity, rule_id=rule_id, asked_from=visit.request.client, force=force))
    except DomainError as refusal:
        return await listed(visit.back_at(AT), refusal, rule_id)
    return visit.go(AT, "network_removed")
