"""One visit to a page: who comes, in which language, what every page shows of them, and what their browser is to remember."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torg.contexts.cart.contracts import CartView, GetCart
from torg.contexts.notification.contracts import ListNotifications
from torg.contexts.user.contracts import Authenticate, Tokens
from torg.contexts.web.model import safe_path
from torg.contexts.web.ports import WebDeps
from torg.contexts.web.routes.links import link
from torg.kit import telemetry
from torg.kit.auth import Identity
from torg.kit.errors import DomainError, FieldError, Forbidden, Unauthenticated, Unavailable
from torg.kit.http import Request, Response, signed_in
from torg.kit.http.changes import SAFE
from torg.kit.http.cookies import cookie_name
from torg.kit.http.form_tokens import COOKIE as FORM_COOKIE
from torg.kit.http.form_tokens import FIELD as FORM_TOKEN
from torg.kit.http.guards import policy
from torg.kit.http.identifying import SESSION_COOKIE, refuse_forgery
from torg.kit.messages import Command, Query
from torg.kit.values import is_id

R = TypeVar("R")
REFRESH_COOKIE, CART_COOKIE, SAID_COOKIE, LANGUAGE_COOKIE = "refresh", "cart", "said", "language"
DAY = 24 * 3600
SIGNED_IN_FOR = 30 * DAY  # seconds: as long as a refresh token lives
CART_KEPT = 30 * DAY
FORM_KEPT = 7 * DAY
AWAY = 503  # the status of a page that lacks what it is there for


class NotProven(Exception):
    """What they want takes a proof of who they are that is not old."""


class Visit:
    """A request for a page and the answer that takes shape."""

    def __init__(self, request: Request, deps: WebDeps) -> None:
        self.request, self.deps = request, deps
        self.language = request.language()
        self.sends_to = ""
        """Where else than here a form of this page may lead, for its policy."""
        self._set: list[tuple[str, str, int]] = []

    # ---------------------------------------------------------------- who

    @property
    def identity(self) -> Identity | None:
        return self.request.identity

    @property
    def member(self) -> Identity:
        """Raises Unauthenticated, which sends them to sign in and then back."""
        return signed_in(self.request)

    @property
    def guest_cart_id(self) -> str:
        named = self.request.cookie(CART_COOKIE)
        return named if is_id(named) else ""

    @property
    def is_staff(self) -> bool:
        return self.deps.access.sees_all(self.identity, "desk:read")

    @property
    def here(self) -> str:
        """The path and query of this page; the path alone where the query is refused, so that no page repeats it."""
        try:
            self.request.query()
        except DomainError:
            return self.request.path
        query = self.request.query_string.decode("ascii", "replace")
        return f"{self.request.path}?{query}" if query else self.request.path

    async def carry_on(self) -> None:
        """Renews a session whose access token has run out, so that nobody has to sign in again every quarter of an hour."""
        token = self.request.cookie(REFRESH_COOKIE)
        if self.request.identity is not None or not token:
            return
        try:
            tokens = await self.deps.renewals.renew(token)
        except Unauthenticated:
            self.forget_session()
            return
        self.request.identity = await self.ask(Authenticate(tokens.access_token))
        self.remember_session(tokens)

    async def enter(self, tokens: Tokens) -> None:
        """They are signed in from here on, and the guest's cart is theirs."""
        self.request.identity = await self.ask(Authenticate(tokens.access_token))
        self.remember_session(tokens)
        if self.guest_cart_id:
            self.set_cookie(CART_COOKIE, "", 0)

    def remember_session(self, tokens: Tokens) -> None:
        self.set_cookie(SESSION_COOKIE, tokens.access_token, tokens.expires_in)
        self.set_cookie(REFRESH_COOKIE, tokens.refresh_token, SIGNED_IN_FOR)

    def forget_session(self) -> None:
        self.set_cookie(SESSION_COOKIE, "", 0)
        self.set_cookie(REFRESH_COOKIE, "", 0)

    def remember_cart(self, cart: CartView) -> None:
        if cart.guest:
            self.set_cookie(CART_COOKIE, cart.id, CART_KEPT)

    def set_cookie(self, name: str, value: str, max_age: int) -> None:
        self._set.append((name, value, max_age))

    @property
    def form_token(self) -> str:
        return self.deps.form_tokens.make(self.request)

    def leads_in(self) -> None:
        """Has the forms of this page bound to a guest's browser: what they open a session with."""
        if self.identity is None and not self.request.cookie(FORM_COOKIE):
            made = self.deps.new_token()
            self.request.cookies()[cookie_name(FORM_COOKIE, self.deps.secure)] = made
            self.set_cookie(FORM_COOKIE, made, FORM_KEPT)

    # ---------------------------------------------------------------- asking

    async def ask(self, message: Command[R] | Query[R]) -> R:
        """Raises NotProven where they have to show anew who they are, which the visit does."""
        try:
            return await self.deps.call(message)
        except Forbidden as refusal:
            if refusal.code == "session.reauthenticate":
                raise NotProven from refusal
            raise

    async def ask_for_extra(self, message: Command[R] | Query[R]) -> R | None:
        """Something that the page can do without: None when it isn't there in time."""
        try:
            return await self.deps.spare(message)
        except (Unavailable, DomainError) as away:
            telemetry.log.info("a page goes without", message=type(message).NAME, path=self.request.path, why=str(away))
            return None

    async def form(self) -> dict[str, str]:
        return {name: value.strip() if name not in UNTOUCHED else value for name, value in (await self.request.form()).items()}

    def text(self, key: str) -> str:
        return self.deps.pages.text(key, self.language)

    # ---------------------------------------------------------------- answering

    async def page(self, template: str, status: int = 200, *, cart: CartView | None = None, **values: object) -> Response:
        """A page with its frame: search, account, cart, and what is still to be said from the page before."""
        frame = await frame_of(self, cart)
        response = self.html(self.deps.pages.render(template, self.language, {**frame, **values}), status)
        if status == AWAY:
            response.headers.append((b"retry-after", b"5"))
        return response

    def html(self, text: str, status: int = 200) -> Response:
        response = Response.html(text, status)
        kept = b"private, no-store" if self.identity else b"private, no-cache"
        response.headers += [
            (b"cache-control", kept),
            (b"content-language", self.language.encode()),
            (b"vary", b"cookie, accept-language"),
            policy(self.sends_to, images="'self' https: data:"),
        ]
        return response

    def go(self, where: str, say: str = "") -> Response:
        """Sends the browser on after a form; `say` is the key of a sentence for the next page."""
        if say:
            self.set_cookie(SAID_COOKIE, say, 60)
        return Response.see_other(where)

    def leave(self, response: Response) -> Response:
        for name, value, max_age in self._set:
            response.with_cookie(name, value, max_age, self.deps.secure)
        return response

    def faults(self, refusal: DomainError) -> dict[str, str]:
        """Sentences for a form: by field, and under "" what is wrong with all of it."""
        if not refusal.errors:
            return {"": self.sentence(refusal)}
        return {error.field: self._fault(error) for error in reversed(refusal.errors)}

    def sentence(self, refusal: DomainError | Unavailable) -> str:
        code = refusal.code if isinstance(refusal, DomainError) else "unavailable"
        return self.text(f"errors.{code}") or spoken(refusal.detail)

    def _fault(self, error: FieldError) -> str:
        return self.text(f"fields.{error.field}.{error.code}") or self.text(f"fields.{error.code}") or spoken(error.detail)


WITHOUT_FORMS = frozenset({"/renew"})
"""What scripts ask for by themselves: it changes nothing but the browser's own cookies."""
PROOF = "proof_"
"""How the fields begin by which somebody shows anew who they are, in the form of whatever takes that."""
UNTOUCHED = frozenset({"password", "current_password", "new_password", f"{PROOF}password"})


def bare_frame(deps: WebDeps, visit: Visit) -> dict[str, object]:
    """What every page shows, of nobody in particular."""
    return {
        "here": visit.here, "path": visit.request.path, "member": visit.identity is not None, "cart_count": 0, "unread": 0, "said": "",
        "query": "", "public_url": deps.public_url, "currency": deps.currency, FORM_TOKEN: visit.form_token,
    }  # fmt: skip


async def frame_of(visit: Visit, cart: CartView | None) -> dict[str, object]:
    frame = bare_frame(visit.deps, visit)
    shown, frame["unread"] = await asyncio.gather(_cart_of(visit, cart), _unread_by(visit))
    frame["cart_count"] = sum(item.quantity for item in shown.items) if shown else 0
    if said := visit.request.cookie(SAID_COOKIE):
        frame["said"] = visit.text(f"said.{said}")
        visit.set_cookie(SAID_COOKIE, "", 0)
    return frame


async def _cart_of(visit: Visit, known: CartView | None) -> CartView | None:
    if known or not (visit.identity or visit.guest_cart_id):
        return known
    return await visit.ask_for_extra(GetCart(visitor=visit.identity, guest_cart_id=visit.guest_cart_id, language=visit.language))


async def _unread_by(visit: Visit) -> int:
    if visit.identity is None:
        return 0
    feed = await visit.ask_for_extra(ListNotifications(reader=visit.identity, language=visit.language, limit=1))
    return feed.unread if feed else 0


# ---------------------------------------------------------------- endpoints

Show = Callable[[Visit], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Proofs:
    """How a visit has somebody show anew who they are: `taken` from a form that carries it, with what is wrong with it, or `asked` for."""

    taken: Callable[[Visit], Awaitable[DomainError | None]]
    asked: Callable[[Visit, DomainError | None], Awaitable[Response]]


def visits(deps: WebDeps, proofs: Proofs) -> Callable[[Show, str, bool], Endpoint]:
    """Turns what answers a visit into an endpoint: forged forms are refused, sessions renewed, rights looked for, refusals shown as pages. `leads_in`: it
    is a form that opens a session, which a guest must have been shown in this browser."""

    def endpoint_of(show: Show, right: str, leads_in: bool) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if request.method not in SAFE:
                refuse_forgery(request)
            if b"authorization" in request.headers:
                request.identity = None  # pages know people by their cookies alone: whatever comes without any may be kept at the edge for everyone
            visit = Visit(request, deps)
            try:
                await visit.carry_on()
                deps.access.enter(request.identity, right)
                if request.method not in SAFE and request.path not in WITHOUT_FORMS:
                    deps.form_tokens.check(request, (await request.form()).get(FORM_TOKEN, ""), leads_in=leads_in)
                refused = await proofs.taken(visit)
                response = await proofs.asked(visit, refused) if refused else await show(visit)
            except NotProven:
                response = await proofs.asked(visit, None)
            except Unauthenticated:
                back = visit.here if request.method in SAFE else safe_path(_referrer(request))
                response = visit.go(link("/sign-in", next=back), "sign_in_first")
            except (DomainError, Unavailable) as refusal:
                response = await _problem(visit, refusal)
            return visit.leave(response)

        return endpoint

    return endpoint_of


async def _problem(visit: Visit, refusal: DomainError | Unavailable) -> Response:
    status = refusal.status if isinstance(refusal, DomainError) else 503
    values: Mapping[str, object] = {"status": status, "sentence": visit.sentence(refusal), "request_id": visit.request.id}
    response = visit.html(visit.deps.pages.render("problem.html", visit.language, {**bare_frame(visit.deps, visit), **values}), status)
    if isinstance(refusal, Unavailable):
        response.headers.append((b"retry-after", str(refusal.retry_after).encode()))
    return response


def _referrer(request: Request) -> str:
    """The path of the page a form stood on, for coming back to it."""
    _, _, rest = request.header("referer").partition("://")
    host, slash, path = rest.partition("/")
    return slash + path if host == request.header("host") else "/"


def spoken(detail: str) -> str:
    """A context's own words, as they stand on a page."""
    return detail and detail[:1].upper() + detail[1:] + ("" if detail.endswith((".", "!", "?")) else ".")
