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
    "delivery": "/admin/deliveries", "charge": "/admin/charges/{id}", "promo_code": "/admin/promo-codes", "letter": "/mailbox",
    "day": "/admin/reports?from={id}&to={next}",
}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """What to do, as a sentence; on which page (of what it is about where that is empty) or with which command; and the run book's entry."""

    text: str
    page: str = ""
    command: str = ""
    entry: str = BOOK + "an-invariant-is-broken"


def _anew(text: str, what: str) -> Action:
    return Action(text, command=f"torg rebuild {what}", entry=OPERATIONS + "building-anew")


ACTIONS: Final[Mapping[Remedy, Action]] = {
    "redrive": Action("Put right what its error tells of, then have the message handled anew.", "/admin/dead-letters", entry=BOOK + "dead-letters-appear"),
    "saga": Action("See which step got no answer and why; then have it asked again, or give the saga up.", entry=BOOK + "a-saga-is-stuck"),
    "cancel": Action("Cancel the order: what was taken for it is given back, and what is held for it let go."),
    "move_delivery": Action("Move the delivery on to where its log says it is.", "/admin/deliveries"),
    "set_price": Action("Set the price to the right one.", command="curl -X PATCH /api/v1/products/{id}"),
    "refund_charge": Action("The order was charged besides its own charge: look at both, and give this one back.", "/admin/charges/{id}"),
    "rebuild_stock": _anew("See with --dry-run what would change; then make shelves, offers and reservations what the log says.", "stock"),
    "rebuild_balances": _anew("See with --dry-run what would change; then make entries, balances and payments what the log says.", "balances"),
    "rebuild_order": _anew("Make the lists' row of the order what the log says.", "order {id}"),
    "rebuild_delivery": _anew("Make the delivery's status what the log says.", "delivery {id}"),
    "rebuild_promo_codes": _anew("See with --dry-run what would change; then make the uses of codes what the log says.", "promo-codes"),
    "rebuild_sessions": _anew("End the sessions that outlived their users.", "sessions"),
    "rebuild_search": _anew("Build the search index anew.", "search"),
    "rebuild_ratings": _anew("Count ratings and votes anew.", "ratings"),
    "rebuild_reports": _anew("Build the sales reports anew.", "reports"),
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
        elsewhere = action.page.format(id=quote(id, safe="")) if action.page and about != "dead_letter" else self.page(about, id)
        page = "" if action.command or remedy == "ask" else elsewhere
        return c.Advice(action=remedy, text=action.text, page=page, command=action.command.format(id=id), runbook=action.entry)


def _events(context: str, stream: str, position: int = 0) -> str:
    """The log browser on a stream; with a position, beginning with that row."""
    found = {"context": context, "stream": stream, **({"cursor": str(position + 1)} if position else {})}
    return f"/admin/events?{urlencode(found)}"
