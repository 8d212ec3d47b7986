"""The audit trail."""

from __future__ import annotations

from torg.contexts.admin import contracts as c
from torg.contexts.admin.ports import AdminDeps


async def record_audit(cmd: c.RecordAudit, deps: AdminDeps) -> None:
    async with deps.transaction() as tx:
        await deps.trail.add(tx, cmd)


async def list_audit(query: c.ListAudit, deps: AdminDeps) -> c.AuditPage:
    return await deps.trail.page(query.actor, query.object, query.cursor, query.limit)


async def verify_audit(query: c.VerifyAudit, deps: AdminDeps) -> c.AuditVerdict:
    return await deps.trail.verify(query.kept)
