"""What operators' views do. The table is the index."""

from __future__ import annotations

from torg.contexts.admin import contracts as c
from torg.contexts.admin.handlers.desks import browse_log, list_consumers, list_dead_letters, redrive_dead_letter, redrive_dead_letters
from torg.contexts.admin.handlers.inspecting import get_invariants
from torg.contexts.admin.handlers.trail import list_audit, record_audit
from torg.kit.calls import Handlers

HANDLERS: Handlers = {
    c.RecordAudit: record_audit,
    c.ListAudit: list_audit,
    c.ListDeadLetters: list_dead_letters,
    c.RedriveDeadLetter: redrive_dead_letter,
    c.RedriveDeadLetters: redrive_dead_letters,
    c.ListConsumers: list_consumers,
    c.BrowseLog: browse_log,
    c.GetInvariants: get_invariants,
}
