"""Looking whether everything holds that must hold, in all contexts."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from torg.contexts.admin import contracts as c
from torg.contexts.admin.ports import AdminDeps
from torg.kit import telemetry
from torg.kit.operations import Desk, Invariant

FRESH = timedelta(seconds=1)
SHOWN = 20  # violations of an invariant


async def get_invariants(_: c.GetInvariants, deps: AdminDeps) -> c.InvariantReports:
    kept = deps.inspection
    async with kept.turn:
        if kept.latest is None or kept.taken_at is None or abs(deps.clock() - kept.taken_at) > FRESH:
            kept.latest = await _inspect(deps)
            kept.taken_at = deps.clock()
        return kept.latest


async def _inspect(deps: AdminDeps) -> c.InvariantReports:
    deps.inspection.accounts = None
    reports = [await _report(desk, invariant, deps) for desk in deps.desks.values() for invariant in desk.invariants]
    for report in reports:
        telemetry.BROKEN_INVARIANTS.labels(report.name).set(not report.holds)
    return c.InvariantReports(tuple(reports))


async def _report(desk: Desk, invariant: Invariant, deps: AdminDeps) -> c.InvariantReport:
    began = time.perf_counter()
    try:
        found = await invariant.check()
    except Exception as error:  # noqa: BLE001 what can't be checked must not pass for something that holds, nor hide the others
        telemetry.log.error("an invariant could not be checked", invariant=invariant.name, exc_info=error)
        found = [f"this could not be checked: {type(error).__name__}: {error}"]
    await asyncio.sleep(0)
    return c.InvariantReport(
        name=invariant.name if "." in invariant.name else f"{desk.context}.{invariant.name.replace(' ', '_')}", context=desk.context,
        sentence=invariant.sentence, holds=not found, violations=_shortened(found), checked_at=deps.clock(), seconds=round(time.perf_counter() - began, 6),
    )  # fmt: skip


def _shortened(found: list[str]) -> tuple[str, ...]:
    return (*found[:SHOWN], *([f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else ()))
