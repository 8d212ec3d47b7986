"""Looking whether everything holds that must hold, in all contexts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from torg.contexts.admin import contracts as c
from torg.contexts.admin.ports import AdminDeps
from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.operations import DeskView, Inspected

FRESH = timedelta(seconds=1)


async def get_invariants(_: c.GetInvariants, deps: AdminDeps) -> c.InvariantReports:
    kept = deps.inspection
    async with kept.turn:
        if kept.latest is None or kept.taken_at is None or abs(deps.clock() - kept.taken_at) > FRESH:
            kept.latest = await _inspect(deps)
            kept.taken_at = deps.clock()
        return kept.latest


async def _inspect(deps: AdminDeps) -> c.InvariantReports:
    deps.inspection.accounts = None
    reports = [_report(desk.context, found, deps) for desk in deps.desks.values() for found in await _found(desk)]
    for report in reports:
        telemetry.BROKEN_INVARIANTS.labels(report.name).set(not report.holds)
    return c.InvariantReports(tuple(reports))


async def _found(desk: DeskView) -> Sequence[Inspected]:
    try:
        return await desk.inspect()
    except Unavailable as away:
        return (Inspected(f"{desk.context}.answers", "The context can be asked whether its invariants hold.", (f"it cannot: {away.detail}",), 0),)


def _report(context: str, found: Inspected, deps: AdminDeps) -> c.InvariantReport:
    return c.InvariantReport(
        name=found.name, context=context, sentence=found.sentence, holds=not found.violations, violations=found.violations, checked_at=deps.clock(),
        seconds=round(found.seconds, 6),
    )  # fmt: skip
