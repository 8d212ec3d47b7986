"""The operators' part of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from torg.contexts.admin import contracts as c
from torg.kit.http import Route, delete, get, post
from torg.kit.http.request import Request

ASKED_FROM: Final[Mapping[str, Callable[[Request], str]]] = {"asked_from": lambda request: request.client}


def api() -> Sequence[Route]:
    return (
        get("/admin/dead-letters", c.ListDeadLetters, right="operations:read", summary="Messages that consumers gave up on"),
        post(
            "/admin/dead-letters/{dead_letter_id}/redrive", c.RedriveDeadLetter, about=c.GetDeadLetter, right="operations:write", idempotency="accepted",
            summary="Have a dead letter handled anew",
        ),
        post(
            "/admin/dead-letters/redrive", c.RedriveDeadLetters, right="operations:write",
            summary="Have all dead letters of a consumer, or of a name, handled anew",
        ),
        get("/admin/consumers", c.ListConsumers, right="operations:read", summary="Consumers, and how far behind they are"),
        get("/admin/events", c.BrowseLog, right="operations:read", refuses=(404,), summary="A context's log, newest first"),
        get("/admin/audit", c.ListAudit, right="audit:read", summary="Who of the staff changed what, newest first"),
        post("/admin/audit/verify", c.VerifyAudit, right="audit:read", audited=False, summary="Whether the audit trail is as it was filed"),
        get("/admin/networks", c.ListNetworkRules, right="networks:read", summary="Networks that are blocked or let in"),
        post(
            "/admin/networks", c.AddNetworkRule, right="networks:write", status=201, idempotency="accepted", fill=ASKED_FROM,
            location=lambda rule: f"/api/v1/admin/networks/{rule.id}", summary="Block a network, or let it in whatever blocks it",
        ),
        delete(
            "/admin/networks/{rule_id}", c.RemoveNetworkRule, about=c.GetNetworkRule, right="networks:write", fill=ASKED_FROM,
            summary="End a rule about a network",
        ),
        get("/admin/countries", c.ListCountryRules, right="networks:read", fill=ASKED_FROM, summary="Countries that are left out or let in, or alone let in"),
        post(
            "/admin/countries", c.AddCountryRule, right="networks:write", status=201, idempotency="accepted", fill=ASKED_FROM,
            location=lambda rule: f"/api/v1/admin/countries/{rule.id}", summary="Leave out a country, let it in, or let in no others",
        ),
        delete(
            "/admin/countries/{rule_id}", c.RemoveCountryRule, about=c.GetCountryRule, right="networks:write", fill=ASKED_FROM,
            summary="End a rule about a country",
        ),
        get("/admin/invariants", c.GetInvariants, right="operations:read", summary="Whether everything holds that must hold"),
    )  # fmt: skip
