"""Sagas, dead letters, consumers, logs, the audit trail and the invariants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from torg.contexts.admin.contracts import (
    AuditEntry,
    AuditVerdict,
    BrowseLog,
    GetInvariants,
    InvariantReport,
    ListAudit,
    ListConsumers,
    ListDeadLetters,
    RedriveDeadLetter,
    RedriveDeadLetters,
    VerifyAudit,
    Violation,
)
from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.order.contracts import CompensateSaga, ListSagas, RetrySaga
from torg.contexts.user.contracts import ListUsers
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form
from torg.kit.values import is_id

STATUSES = ("", "running", "compensating", "stuck", "completed", "compensated")
AT_ONCE = "50"


@dataclass(frozen=True)
class InvariantViolation:
    sentence: str
    more: Violation | None


async def sagas(visit: Visit, refusal: DomainError | None = None) -> Response:
    page = await visit.ask(read_form(ListSagas, visit.query, visit.deps.clock()))
    now = visit.deps.clock()
    ages = {saga.saga_id: _seconds(saga.created_at, saga.updated_at if saga.status in ("completed", "compensated") else now) for saga in page.items}
    return visit.page("sagas.html", refusal, sagas=page.items, more_cursor=page.next_cursor, shown_tabs=STATUSES, tab=visit.query.get("status", ""), ages=ages)


async def retry(visit: Visit) -> Response:
    return await _act(visit, RetrySaga(visit.of_path("saga_id")), "retried")


async def compensate(visit: Visit) -> Response:
    return await _act(visit, CompensateSaga(visit.of_path("saga_id")), "compensated")


async def _act(visit: Visit, command: RetrySaga | CompensateSaga, done: str) -> Response:
    back = (await visit.form()).get("order_id", "")
    try:
        await visit.ask(command)
    except DomainError as refusal:
        return await sagas(visit.back_at("/admin/sagas"), refusal)
    return visit.go(f"/admin/orders/{back}" if is_id(back) else "/admin/sagas", done)


async def dead_letters(visit: Visit, refusal: DomainError | None = None) -> Response:
    page = await visit.ask(read_form(ListDeadLetters, visit.query, visit.deps.clock()))
    kinds = sorted({(letter.consumer, letter.name) for letter in page.items})
    return visit.page("dead_letters.html", refusal, letters=page.items, kinds=kinds, more_cursor=page.next_cursor)


async def redrive(visit: Visit) -> Response:
    try:
        await visit.ask(RedriveDeadLetter(visit.of_path("dead_letter_id")))
    except DomainError as refusal:
        return await dead_letters(visit.back_at("/admin/dead-letters"), refusal)
    return visit.go("/admin/dead-letters", "redriven")


async def redrive_all(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(RedriveDeadLetters(consumer=form["consumer"], name=form["name"]))
    except DomainError as refusal:
        return await dead_letters(visit.back_at("/admin/dead-letters"), refusal)
    return visit.go("/admin/dead-letters", "redriven_all")


async def consumers(visit: Visit) -> Response:
    return visit.page("consumers.html", consumers=(await visit.ask(ListConsumers())).items)


async def events(visit: Visit) -> Response:
    page = await visit.ask(read_form(BrowseLog, {"limit": AT_ONCE, **visit.query}, visit.deps.clock()))
    return visit.page(
        "events.html", rows=[(row, bytes(row.data).decode()) for row in page.items], more_cursor=page.next_cursor, contexts=sorted(visit.deps.contexts)
    )


@dataclass(frozen=True)
class Line:
    """A line of the trail; before and after as text."""

    entry: AuditEntry
    before: str
    after: str


def _text(document: msgspec.Raw | None) -> str:
    return msgspec.json.format(bytes(document), indent=1).decode() if document else ""


async def _verdict(visit: Visit) -> AuditVerdict | None:
    if not visit.query["verify"]:
        return None
    verdict: AuditVerdict = await visit.ask(VerifyAudit())
    return verdict


async def audit(visit: Visit) -> Response:
    actor = visit.query.get("actor", "").strip()
    if actor and not is_id(actor):
        found = (await visit.ask(ListUsers(query=actor, limit=1))).items
        actor = found[0].id if found else actor
    asked = {name: visit.query[name] for name in ("object", "cursor")}
    page = await visit.ask(read_form(ListAudit, {"limit": AT_ONCE, **asked, "actor": actor}, visit.deps.clock()))
    names = await visit.names([entry.actor for entry in page.items])
    entries = [Line(entry, _text(entry.before), _text(entry.after)) for entry in page.items]
    return visit.page("audit.html", entries=entries, more_cursor=page.next_cursor, names=names, verdict=await _verdict(visit))


async def invariants(visit: Visit) -> Response:
    """As the auditor found them last; with `anew` in the query looked at just now."""
    latest = await visit.ask(GetInvariants(anew=bool(visit.query["anew"])))
    ordered = sorted(latest.items, key=lambda report: (report.context, report.name))
    return visit.page(
        "invariants.html", latest=latest, broken=[report for report in ordered if not report.holds], whole=[report for report in ordered if report.holds],
        told=partial(_told, visit),
    )  # fmt: skip


def _told(visit: Visit, report: InvariantReport) -> Sequence[InvariantViolation]:
    """Each violation with what more there is to say of it; sentences that stand for others alone."""
    known = {one.sentence: one for one in report.details}
    return [InvariantViolation(sentence, known.get(sentence)) for sentence in report.violations]


def _seconds(since: datetime, until: datetime) -> str:
    return f"{(until - since).total_seconds():.1f}"
