"""Where everybody of the staff begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torg.contexts.admin.contracts import GetInvariants, ListConsumers, ListDeadLetters
from torg.contexts.admin.routes.pages.visit import SECTIONS, Visit
from torg.contexts.order.contracts import CountOrders, ListAllOrders, ListSagas
from torg.kit.errors import Forbidden
from torg.kit.http import Response

MANY = 100
Status = Literal["running", "compensating", "stuck"]


@dataclass(frozen=True)
class Unended:
    status: str
    number: str


async def home(visit: Visit) -> Response:
    """The first page that their roles open."""
    first = next((path for _, links in SECTIONS for path, _, right in links if visit.may(right)), None)
    if first is None:
        raise Forbidden("role.required", "no page of the staff is for your roles")
    return visit.go(first)


async def overview(visit: Visit) -> Response:
    midnight = visit.deps.clock().replace(hour=0, minute=0, second=0, microsecond=0)
    counts = await visit.ask(CountOrders(since=midnight))
    sagas = [Unended(status, await _number(visit, status)) for status in get_args(Status)]
    letters = await visit.ask(ListDeadLetters(limit=MANY))
    consumers = (await visit.ask(ListConsumers())).items
    reports = (await visit.ask(GetInvariants(anew=False))).items
    latest = (await visit.ask(ListAllOrders(viewer=visit.identity, limit=10))).items
    return visit.page(
        "overview.html", counts=counts.items, placed=sum(count.count for count in counts.items), sagas=sagas,
        dead=_at_least(len(letters.items), letters.next_cursor is not None), behind=[c for c in consumers if sum(c.lags.values()) or c.failed],
        consumers=len(consumers), broken=[report for report in reports if not report.holds], invariants=len(reports), latest=latest,
    )  # fmt: skip


async def _number(visit: Visit, status: Status) -> str:
    page = await visit.ask(ListSagas(status=status, limit=MANY))
    return _at_least(len(page.items), page.next_cursor is not None)


def _at_least(number: int, more: bool) -> str:
    return f"{number}+" if more else str(number)
