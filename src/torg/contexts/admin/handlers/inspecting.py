"""Looking whether everything holds that must hold, in all contexts; on its own again and again, with a bounded part of a processor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from torg.contexts.admin import contracts as c
from torg.contexts.admin.handlers.tracing import found_row
from torg.contexts.admin.ports import AdminDeps
from torg.kit import telemetry
from torg.kit.auditing import Inspected, Violation
from torg.kit.errors import Unavailable
from torg.kit.operations import DeskView
from torg.kit.values import Randomness

FRESH = timedelta(seconds=1)
EVERY: Final = 30.0  # seconds between two looks at least
SHARE: Final = 50  # times as long as a look kept processors busy, nothing is looked at: two per cent of one
LONGEST: Final = 240.0  # seconds


async def get_invariants(query: c.GetInvariants, deps: AdminDeps) -> c.InvariantReports:
    kept = deps.inspection
    async with kept.turn:
        if kept.latest is None or (query.anew and _is_old(kept.latest, deps)):
            kept.latest = await _inspect(deps)
        return kept.latest


async def watch(deps: AdminDeps, randomness: Randomness) -> None:
    """One look of the job's, told to whoever reads metrics; how long it rests afterwards is a little different each time."""
    kept = deps.inspection
    async with kept.turn:
        latest = await _inspect(deps)
        kept.rests = min(max(EVERY, SHARE * latest.seconds), LONGEST) * (0.9 + randomness(1)[0] / 255 * 0.2)
        kept.latest = c.InvariantReports(latest.items, latest.taken_at, latest.seconds, round(kept.rests, 1))
    for report in latest.items:
        telemetry.BROKEN_INVARIANTS.labels(report.name).set(not report.holds)
        telemetry.INVARIANT_SECONDS.labels(report.name).set(report.seconds)
    telemetry.INVARIANTS_SECONDS.set(latest.seconds)
    telemetry.INVARIANTS_AT.set(deps.clock().timestamp())


def _is_old(latest: c.InvariantReports, deps: AdminDeps) -> bool:
    return latest.taken_at is None or abs(deps.clock() - latest.taken_at) > FRESH


async def _inspect(deps: AdminDeps) -> c.InvariantReports:
    deps.inspection.followed = False
    reports = [await _report(desk.context, found, deps) for desk in deps.desks.values() for found in await _found(desk)]
    return c.InvariantReports(tuple(reports), deps.clock(), round(sum(report.seconds for report in reports), 6), deps.inspection.rests)


async def _found(desk: DeskView) -> Sequence[Inspected]:
    try:
        return await desk.inspect()
    except Unavailable as away:
        return (Inspected(f"{desk.context}.answers", "The context can be asked whether its invariants hold.", (f"it cannot: {away.detail}",), 0),)


async def _report(context: str, found: Inspected, deps: AdminDeps) -> c.InvariantReport:
    return c.InvariantReport(
        name=found.name, context=context, sentence=found.sentence, holds=not found.violations, violations=found.violations, checked_at=deps.clock(),
        seconds=round(found.seconds, 6), details=tuple([await _detail(violation, deps) for violation in found.details]), come=found.come,
    )  # fmt: skip


async def _detail(found: Violation, deps: AdminDeps) -> c.Violation:
    row = await found_row(found.began.row, deps) if found.began.row else None
    note = found.began.note if row or not found.began.row else f"the row that it began with is not in the log any more; {found.began.note}".rstrip("; ")
    return c.Violation(
        sentence=found.sentence, about=found.about, id=found.id, page=deps.guide.page(found.about, found.id),
        began=deps.guide.place(row) if row else None, began_exactly=found.began.exact and row is not None, note=note,
        remedy=deps.guide.advice(found.remedy, found.about, found.id),
    )  # fmt: skip
