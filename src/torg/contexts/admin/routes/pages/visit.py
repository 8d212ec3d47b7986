"""A visit of somebody of the staff: who they are, what they may open, and the frame of every page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from torg.contexts.admin.ports import PageDeps
from torg.contexts.user.contracts import Contact, GetContact
from torg.kit.auth import Identity
from torg.kit.errors import DomainError, Forbidden, Unauthenticated, Unavailable
from torg.kit.http import Request, Response
from torg.kit.http.changes import SAFE
from torg.kit.http.form_tokens import FIELD
from torg.kit.messages import Command, Query, encode

R = TypeVar("R")

DESK = "desk:read"
SECTIONS: Final[Sequence[tuple[str, Sequence[tuple[str, str, str]]]]] = (
    ("Shop", (
        ("/admin/overview", "Overview", "all-orders:read"),
        ("/admin/orders", "Orders", "all-orders:read"),
        ("/admin/deliveries", "Deliveries", "deliveries:read"),
        ("/admin/reviews", "Reviews", "moderation:read"),
        ("/admin/stock", "Stock", "stock:read"),
        ("/admin/purchases", "Purchases", "purchases:read"),
        ("/admin/users", "Users", "users:read"),
        ("/admin/promo-codes", "Promo codes", "promo-codes:read"),
        ("/admin/clients", "Programs", "clients:read"),
        ("/admin/api-keys", "API keys", "api-keys:read"),
        ("/admin/reports", "Reports", "reports:read"),
    )),
    ("Operations", (
        ("/admin/invariants", "Invariants", "operations:read"),
        ("/admin/sagas", "Sagas", "sagas:read"),
        ("/admin/dead-letters", "Dead letters", "operations:read"),
        ("/admin/consumers", "Consumers", "operations:read"),
        ("/admin/events", "Events", "operations:read"),
        ("/admin/networks", "Networks", "networks:read"),
        ("/admin/audit", "Audit", "audit:read"),
        ("/admin/rights", "Rights", "audit:read"),
    )),
)  # fmt: skip
SAID: Final = {
    "cancelled": "The order is being cancelled.",
    "charge_refunded": "The charge was given back.",
    "moved": "The delivery was moved on.",
    "approved": "The review is published.",
    "rejected": "The review was rejected.",
    "corrected": "The stock was corrected.",
    "alert": "The alert was set.",
    "drafted": "The purchase order was drafted.",
    "ordered": "The purchase order was sent.",
    "received": "The goods were taken in.",
    "given_up": "The purchase order was cancelled.",
    "supplier": "The supplier was added.",
    "roles": "The roles were changed.",
    "session_ended": "The session has ended.",
    "sessions_ended": "All their sessions have ended.",
    "created": "The promo code was created.",
    "disabled": "The promo code was ended.",
    "client_disabled": "The program may do nothing any more.",
    "tier": "The tier was set.",
    "key_ended": "The key opens nothing any more.",
    "network_added": "The rule was added.",
    "network_removed": "The rule was removed.",
    "retried": "The step was asked for again.",
    "compensated": "Everything the saga did is being undone.",
    "redriven": "The message will be handled anew.",
    "redriven_all": "The messages will be handled anew.",
}


class Given(dict[str, str]):
    """What was sent, by name; empty where nothing was."""

    def __missing__(self, name: str) -> str:
        return ""


class Visit:
    """A request for a staff page by somebody who may have it."""

    def __init__(self, request: Request, deps: PageDeps, identity: Identity) -> None:
        self.request, self.deps, self.identity = request, deps, identity
        self.language = request.language()
        self.query = Given(request.query())
        self.path = request.path

    def of_path(self, name: str) -> str:
        return self.request.path_values[name]

    def back_at(self, path: str) -> Visit:
        """The same visit, answered by the page that the form stood on."""
        self.path = path
        return self

    def may(self, right: str) -> bool:
        """Whether they have the right for what is other people's: what is their own they see in the shop."""
        return self.deps.access.sees_all(self.identity, right)

    async def ask(self, message: Command[R] | Query[R]) -> R:
        reply = await self.deps.call(message)
        if isinstance(message, Command):
            self.request.told = encode(reply)  # a page is no answer that could be filed
        return reply

    async def ask_for_extra(self, message: Command[R] | Query[R]) -> R | None:
        """Something that the page can do without."""
        try:
            return await self.deps.call(message)
        except (DomainError, Unavailable):
            return None

    async def contacts(self, user_ids: Iterable[str]) -> dict[str, Contact]:
        """By id, of those who still have one; what the policy hides from this role is empty."""
        found: dict[str, Contact] = {}
        shown = self.deps.access.fields(self.identity, "user")
        hidden = {} if shown is None else {name: "" for name in ("full_name", "email", "city") if name not in shown}
        for user_id in dict.fromkeys(filter(None, user_ids)):
            with suppress(DomainError, Unavailable):
                found[user_id] = msgspec.structs.replace(await self.ask(GetContact(user_id)), **hidden)
        return found

    async def names(self, user_ids: Iterable[str]) -> dict[str, str]:
        """E-mail addresses by id."""
        return {user_id: contact.email for user_id, contact in (await self.contacts(user_ids)).items() if contact.email}

    async def form(self) -> Given:
        return Given(await self.request.form())

    def link(self, path: str = "", **query: str | None) -> str:
        """An address with what is given in its query; without a path, this page with some of its query changed."""
        fields = query if path else {**{name: value for name, value in self.query.items() if name != "done"}, **query}
        given = {name: value for name, value in fields.items() if value}
        return (path or self.path) + (f"?{urlencode(given)}" if given else "")

    def page(self, template: str, refusal: DomainError | None = None, **values: object) -> Response:
        frame = {
            "sections": [(name, shown) for name, links in SECTIONS if (shown := [link for link in links if self.may(link[2])])],
            "path": self.path, "here": self.link(), "link": self.link, "language": self.language.value, "key": self.deps.new_id(),
            "said": SAID.get(self.query.get("done", ""), ""), "fault": refusal.detail if refusal else "", "query": self.query,
            "roles": sorted(self.identity.roles), "may": self.may, "currency": self.deps.currency, FIELD: self.deps.form_tokens.make(self.request),
        }  # fmt: skip
        text = self.deps.pages.render(template, self.language, {**frame, **values})
        response = Response.html(text, refusal.status if refusal else 200)
        response.headers += [(b"cache-control", b"private, no-store"), (b"content-language", self.language.encode())]
        return response

    def go(self, where: str, done: str = "", **query: str | None) -> Response:
        """Sends the browser on after a form; `done` names the sentence that the next page says."""
        return Response.see_other(self.link(where, **query, done=done))


Show = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def visits(deps: PageDeps) -> Callable[[Show, str], Endpoint]:
    """Turns what answers a visit into an endpoint for those who may: others are sent to sign in, or told that this is not for them."""

    def endpoint_of(show: Show, right: str) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if request.identity is None:
                return Response.see_other(f"/sign-in?{urlencode({'next': _way_back(request)})}")
            visit = Visit(request, deps, request.identity)
            if request.identity.lacks_factor:
                return Response.see_other("/profile/second-factor")
            if not visit.may(right):
                return visit.page("problem.html", Forbidden("role.required", f"this page takes the right {right}"), title="Not for you")
            try:
                if request.method not in SAFE:
                    deps.form_tokens.check(request, (await visit.form())[FIELD])
                return await show(visit)
            except Unauthenticated:
                raise
            except DomainError as refusal:
                return visit.page("problem.html", refusal, title=refusal.title)

        return endpoint

    return endpoint_of


def _way_back(request: Request) -> str:
    """Where to go on after signing in; a form that was sent too late is not sent again."""
    if request.method not in SAFE:
        return "/admin"
    query = request.query_string.decode("ascii", "replace")
    return f"{request.path}?{query}" if query else request.path
