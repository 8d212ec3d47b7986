"""What operators' views do. The table is the index."""

from __future__ import annotations

from torg.contexts.admin import contracts as c
from torg.contexts.admin.handlers.desks import browse_log, get_dead_letter, list_consumers, list_dead_letters, redrive_dead_letter, redrive_dead_letters
from torg.contexts.admin.handlers.door import (
    add_country_rule,
    add_network_rule,
    get_country_rule,
    get_network_rule,
    list_country_rules,
    list_network_rules,
    remove_country_rule,
    remove_network_rule,
)
from torg.contexts.admin.handlers.inspecting import get_invariants
from torg.contexts.admin.handlers.trail import list_audit, record_audit, verify_audit
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.RecordAudit: record_audit,
    c.ListAudit: list_audit,
    c.VerifyAudit: verify_audit,
    c.ListNetworkRules: list_network_rules,
    c.GetNetworkRule: get_network_rule,
    c.AddNetworkRule: add_network_rule,
    c.RemoveNetworkRule: remove_network_rule,
    c.ListCountryRules: list_country_rules,
    c.GetCountryRule: get_country_rule,
    c.AddCountryRule: add_country_rule,
    c.RemoveCountryRule: remove_country_rule,
    c.ListDeadLetters: list_dead_letters,
    c.GetDeadLetter: get_dead_letter,
    c.RedriveDeadLetter: redrive_dead_letter,
    c.RedriveDeadLetters: redrive_dead_letters,
    c.ListConsumers: list_consumers,
    c.BrowseLog: browse_log,
    c.GetInvariants: get_invariants,
}
