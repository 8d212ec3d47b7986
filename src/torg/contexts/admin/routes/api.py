"""The operators' part of the API."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.admin import contracts as c
from torg.kit.auth import Role
from torg.kit.http import Route, get, post

OPERATORS = frozenset({Role.SUPPORT})


def api() -> Sequence[Route]:
    return (
        get("/admin/dead-letters", c.ListDeadLetters, who=OPERATORS, summary="Messages that consumers gave up on"),
        post(
            "/admin/dead-letters/{dead_letter_id}/redrive", c.RedriveDeadLetter, who=OPERATORS, idempotency="accepted",
            summary="Have a dead letter handled anew",
        ),
        post("/admin/dead-letters/redrive", c.RedriveDeadLetters, who=OPERATORS, summary="Have all dead letters of a consumer, or of a name, handled anew"),
        get("/admin/consumers", c.ListConsumers, who=OPERATORS, summary="Consumers, and how far behind they are"),
        get("/admin/events", c.BrowseLog, who=OPERATORS, refuses=(404,), summary="A context's log, newest first"),
        get("/admin/audit", c.ListAudit, who=OPERATORS, summary="Who of the staff changed what, newest first"),
        get("/admin/invariants", c.GetInvariants, who=OPERATORS, summary="Whether everything holds that must hold"),
    )  # fmt: skip
