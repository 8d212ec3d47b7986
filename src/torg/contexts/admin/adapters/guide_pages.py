"""Where operators see what a violation is about, and which action of theirs mends it: on the staff's pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final
from urllib.parse import quote, urlencode

from torg.contexts.admin import contracts as c
from torg.kit.auditing import Place, Remedy

BOOK, OPERATIONS = "docs/runbook.md#", "docs/operations.md#"
PAGES: Final[Mapping[str, str]] = {
    "order": "/admin/orders/{id}", "product": "/admin/stock/{id}", "user": "/admin/events?context=user&stream={id}",
    "wallet": "/admin/events?context=payment&stream=wallet%3A{id}", "consumer": "/admin/consumers", "dead_letter": "/admin/dead-letters#{id}",
    "delivery": "/admin/deliveries", "promo_code": "/admin/promo-codes", "letter": "/mailbox", "day": "/admin/reports?from={id}&to={next}",
}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """What to do, as a sentence; on which page (of what it is about where that is empty) or with which command; and the run book's entry."""

    text: str
    page: str = ""
    command: str = ""
    entry: str = BOOK + "an-invariant-is-broken"


ACTIONS: Final[Mapping[Remedy, Action]] = {
    "redrive": Action("Put right what its error tells of, then have the message handled anew.", "/admin/dead-letters", entry=BOOK + "dead-letters-appear"),
    "saga": Action("See which step got no answer and why; then have it asked again, or give the saga up.", entry=BOOK + "a-saga-is-stuck"),
    "cancel": Action("Cancel the order: what was taken for it is given back, and what is held for it let go."),
    "touch": Action("The list is written anew with the next thing that happens to the order: move its delivery on, or cancel it."),
    "move_delivery": Action("Move the delivery on to where its log says it is.", "/admin/deliveries"),
    "correct_stock": Action("Count what lies there, and correct the stock by the difference."),
    "set_price": Action("Set the price to the right one.", command="curl -X PATCH /api/v1/products/{id}"),
    "rebuild_search": Action("Build the search index anew.", command="torg rebuild search", entry=OPERATIONS + "building-anew"),
    "rebuild_ratings": Action("Count ratings and votes anew.", command="torg rebuild ratings", entry=OPERATIONS + "building-anew"),
    "rebuild_reports": Action("Build the sales reports anew.", command="torg rebuild reports", entry=OPERATIONS + "building-anew"),
    "restart": Action("See in /ready and in the process's log what keeps it; if nothing does, start it again.", "/admin/consumers", entry=BOOK + "lag-grows"),
    "restore": Action("Find the rows in a backup, and restore from before they went.", command="torg restore", entry=BOOK + "data-is-lost"),
    "ask": Action("Nothing that an operator does mends this. Give a developer this sentence and the rows since it began."),
}


class StaffGuide:
    """Implements Guide."""

    def page(self, about: str, id: str) -> str:
        if about == "stream":
            context, _, stream = id.partition("/")
            return _events(context, stream)
        next_day = (date.fromisoformat(id) + timedelta(days=1)).isoformat() if about == "day" else ""
        return PAGES[about].format(id=quote(id, safe=""), next=next_day) if about in PAGES else ""

    def place(self, row: Place) -> c.LogPlace:
        return c.LogPlace(
            context=row.context, stream=row.stream, version=row.version, name=row.name, position=row.position, at=row.at,
            page=_events(row.context, row.stream, row.position),
        )  # fmt: skip

    def advice(self, remedy: Remedy, about: str, id: str) -> c.Advice:
        action = ACTIONS[remedy]
        elsewhere = action.page if action.page and about != "dead_letter" else self.page(about, id)
        page = "" if action.command or remedy == "ask" else elsewhere
        return c.Advice(action=remedy, text=action.text, page=page, command=action.command.format(id=id), runbook=action.entry)


def _events(context: str, stream: str, position: int = 0) -> str:
    """The log browser on a stream; with a position, beginning with that row."""
    found = {"context": context, "stream": stream, **({"cursor": str(position + 1)} if position else {})}
    return f"/admin/events?{urlencode(found)}"
