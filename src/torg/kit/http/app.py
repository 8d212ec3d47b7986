"""The edge as one ASGI application: finds the route, the identity and the message, has it handled, and answers; every failure is a problem document."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from torg.kit import security, telemetry
from torg.kit.access import Access
from torg.kit.auth import Authenticate
from torg.kit.calls import Handle
from torg.kit.dpop import Proofs
from torg.kit.errors import DomainError, Forbidden, Malformed, NotFound, Overloaded, Problem, TooManyRequests, Unauthenticated, Unavailable
from torg.kit.failpoints import reached
from torg.kit.http.admission import Admission, Urgency
from torg.kit.http.answering import add_etag, agreed, as_response, disconnected, document, kept_of, pump, refuse_overload, renderer, unless_unchanged
from torg.kit.http.binding import Binding
from torg.kit.http.cache import FOR_GATEWAY, Keeping, Kept, Key, ResponseCache
from torg.kit.http.changes import SAFE, Change, Look, change_of, is_watched, looking
from torg.kit.http.guards import BY_ANYBODY, BY_ITS_READER, BY_NOBODY, guard
from torg.kit.http.idempotency import Answers, Keys
from torg.kit.http.identifying import PROOF, identify
from torg.kit.http.metrics import RequestStats, RouteStats
from torg.kit.http.request import CARD, Headers, Request, Response, first_spoken
from torg.kit.http.routes import API, Route, Router
from torg.kit.messages import Message, Meta
from torg.kit.policy import BadPolicy
from torg.kit.scrubbing import shown
from torg.kit.tasks import ended
from torg.kit.values import Clock, Language, NewId

if TYPE_CHECKING:
    from torg.kit.http.shared_keys import SharedKeys

REQUEST_ID = "torg.request_id"
"""Where in a scope an edge in front of this one has put the id that it gave the request."""
SECURITY: Final[Mapping[int, security.Kind]] = {401: "unauthenticated", 403: "forbidden", 429: "guessing"}
"""Refusals that are told as security events."""
BODILESS: Final = frozenset({204, 304})
TO_SIGN_IN: Final = frozenset({"session.required", "session.second_factor"})
Ask = Callable[[Request], Awaitable[Response]]
Audit = Callable[[Request, Route, Response, Change], Awaitable[None]]
"""Files who of the staff, of partners and of programs changed what, with what came of it."""
ProblemPage = Callable[[Request, Problem], Response]
"""Shows a problem to a person."""


class _Served:
    """A route with everything that can be worked out before the first request."""

    __slots__ = ("ask", "etag", "look", "route", "stats")

    def __init__(self, route: Route, ask: Ask, look: Look | None, stats: dict[int, RouteStats]) -> None:
        self.route, self.ask, self.look, self.stats, self.etag = route, ask, look, stats, route.etag


class App:
    """All routes of a process. `authenticate` turns a token into an identity; `cache` keeps public answers (None: keeps nothing); `audit` is told
    of every request of the staff that was to change something, once it was handled; `secret` keys what is filed of a request's body; `keys` are
    those for which other processes answer as well; `admission` says who is let in while more is asked than can be done (None: everybody); `access` who may do
    what (None: as the shop's own policy has it); `secure`: people reach the shop over HTTPS; `takes_cards`: it is an
    acquirer, to which people may tell card numbers; `proofs` believes whoever holds the key of a bound token (None: nobody)."""

    def __init__(
        self,
        clock: Clock,
        new_id: NewId,
        authenticate: Authenticate,
        cache: ResponseCache | None = None,
        audit: Audit | None = None,
        secret: bytes = b"",
        keys: SharedKeys | None = None,
        admission: Admission | None = None,
        access: Access | None = None,
        secure: bool = False,
        takes_cards: bool = False,
        proofs: Proofs | None = None,
    ) -> None:
        self._clock, self._new_id, self._authenticate, self._audit = clock, new_id, authenticate, audit
        self._secure, self._takes_cards, self._proofs = secure, takes_cards, proofs
        self.cache, self._keys, self._secret = cache, keys, hashlib.blake2b(secret, digest_size=32).digest()
        self.problem_page: ProblemPage | None = None
        self.admission, self.access = admission, access or Access.of_the_shop()
        self.stats = RequestStats()
        self.routes: list[Route] = []
        self._router = Router()
        self._streams: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._unknown = self.stats.of("-", "-", 404)

    def add(self, routes: Iterable[Route], handle: Callable[[type[Message]], Handle], store: Answers | None = None) -> None:
        """Serves a context's routes; `handle` finds who handles a message, `store` files answers to Idempotency-Keys. Raises BadPolicy for a route that
        does not say what right it takes."""
        keys = Keys(store, self._secret, self._keys) if store else None
        for route in map(self._allowed, routes):
            self.routes.append(route)
            self._router.add(route.method, route.path, _Served(route, self._plan(route, handle, keys), looking(route, handle, self._clock), {}))

    def _allowed(self, route: Route) -> Route:
        """The route, as the policy has it."""
        if not self.access.knows(route.right):
            raise BadPolicy(f"{route.method} {route.path} takes the right {route.right!r}, which the policy does not know: nobody would be asked for anything")
        urgency = Urgency.ALWAYS if self.access.for_staff_only(route.right) else route.urgency
        cached = route.cached if self.access.grants(None, route.right) else 0
        return route if (urgency, cached) == (route.urgency, route.cached) else replace(route, urgency=urgency, cached=cached)

    async def close(self) -> None:
        """Ends open streams, and those that are still to come; clients resume them elsewhere by Last-Event-ID."""
        self._closing = True
        await ended(self._streams)

    # ---------------------------------------------------------------- one request

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        began = time.perf_counter()
        method, path, headers = scope["method"], scope["path"], dict(scope["headers"])
        if PROOF in headers:  # more than one of them are none (RFC 9449, section 4.3)
            headers[PROOF] = b", ".join(value for name, value in scope["headers"] if name == PROOF)
        key: Key = (path, scope["query_string"], _reads_russian(headers.get(b"accept-language", b"")))
        for_gateway = FOR_GATEWAY in scope
        if self.cache is not None and method == "GET" and not for_gateway and (kept := self.cache.get(key)) and _of_anybody(headers):
            await self._send_kept(kept, headers, send, began)
            return
        client = scope.get("client") or ("", 0)
        id = scope.get(REQUEST_ID) or self._new_id()
        request = Request(
            method,
            path,
            scope["query_string"],
            headers,
            receive,
            id,
            scope.get("scheme", "http"),
            client[0],
            secure=self._secure,
            takes_cards=self._takes_cards,
        )
        if self.cache is not None and method == "GET" and _of_anybody(headers) and (keeping := self._keeping(path)):
            if for_gateway:
                await self._send(request, agreed(await self._answer(request, began, whole=True), keeping), receive, send)
                return
            found = await self._made_once(self.cache, key, keeping, request, began)
            if isinstance(found, Kept):
                await self._send_kept(found, headers, send, began)
            else:
                await self._send(request, found, receive, send)
            return
        response = await self._answer(request, began)
        if method not in SAFE and response.status < 400:
            reached("before answer")
        await self._send(request, response, receive, send)

    def _keeping(self, path: str) -> Keeping | None:
        """How the answer to a GET of anybody may be kept, if at all."""
        found = self._router.find(path)
        target = found[0].get("GET") if found else None
        if found is None or target is None or not target[0].route.cached:
            return None
        served, names = target
        return Keeping(served.route.cached, served.route.tags(dict(zip(names, found[1], strict=True))), self._stats(served, 200))

    async def _made_once(self, cache: ResponseCache, key: Key, keeping: Keeping, request: Request, began: float) -> Kept | Response:
        """The answer as somebody else made it, or as this request does."""
        made: list[Response] = []

        async def make() -> Kept | None:
            made.append(await self._answer(request, began, whole=True))
            return kept_of(made[0], keeping) if made[0].status == 200 else None

        kept = await cache.fetch(key, keeping, make)
        if made:
            return unless_unchanged(request, made[0])
        return kept or await self._answer(request, began)

    async def _answer(self, request: Request, began: float, whole: bool = False) -> Response:
        """Everything but sending it; `whole`, though the client may have it already."""
        served, response = await self._respond(request)
        if self._closing and response.stream is not None:
            response = self._refusal(request, Problem("Not available right now", 503, "this server is closing: ask again", "service.unavailable"), [])
        if served and self._audit and is_watched(request, served.route):
            await self._tell(self._audit, request, served, response)
        guard(response, self._secure, _kept_by(request, served))
        response.headers.append((b"x-request-id", request.id.encode()))
        if served and served.etag and response.status == 200:
            add_etag(response)
            response = response if whole else unless_unchanged(request, response)
        (self._stats(served, response.status) if served else self._unknown).observe(time.perf_counter() - began)
        return response

    async def _respond(self, request: Request) -> tuple[_Served | None, Response]:
        served: _Served | None = None
        try:
            served = self._find(request)
            return served, await self._in_turn(request, served)
        except DomainError as refusal:
            _tell_security(request, refusal)
            return served, self._problem(request, refusal)
        except Overloaded as busy:
            problem = Problem("Too busy just now", 503, busy.detail, "service.overloaded", instance=request.id)
            return served, self._refusal(request, problem, [(b"retry-after", str(busy.retry_after).encode())])
        except Unavailable as away:
            telemetry.warn("unavailable", served.route.path if served else "", path=request.path, detail=away.detail, request_id=request.id)
            problem = Problem("Not available right now", 503, away.detail, "service.unavailable", instance=request.id)
            return served, self._refusal(request, problem, [(b"retry-after", str(away.retry_after).encode())])
        except Exception as error:  # noqa: BLE001 the edge's last line: a defect becomes a 500 that names its request id, and a log line with the whole story
            telemetry.log.error("a request failed", path=request.path, request_id=request.id, exc_info=error)
            problem = Problem("Internal error", 500, f"this is a defect; its log lines carry {request.id}", "internal", instance=request.id)
            return served, self._refusal(request, problem, [])

    async def _in_turn(self, request: Request, served: _Served) -> Response:
        """Once there is time for it; whoever is refused instead costs neither a look at the token nor the reading of a body."""
        if self.admission is None:
            return await self._work(request, served)
        if not self.admission.begins(served.route.urgency) and not await self.admission.admits(served.route.urgency):
            return refuse_overload(request)
        if request.method not in SAFE:
            request.receive = self.admission.aside(request.receive)
        try:
            return await self._work(request, served)
        finally:
            self.admission.end()

    async def _work(self, request: Request, served: _Served) -> Response:
        await identify(request, self._authenticate, self._proofs)
        _restrict(request, served.route, self.access)
        if not served.route.asks:
            self.access.enter(request.identity, served.route.right)
        if served.look and self._audit and is_watched(request, served.route):
            request.before = await served.look(request)
        meta = Meta(actor=request.identity.user_id if request.identity else "", request=request.id, trace=telemetry.trace_of(request.header("traceparent")))
        with telemetry.span("http", served.route.path, meta), telemetry.acting(_within_span(meta)):
            return await served.ask(request)

    async def _tell(self, audit: Audit, request: Request, served: _Served, response: Response) -> None:
        try:
            await audit(request, served.route, response, await change_of(request, response, served.route, served.look))
        except Exception as error:  # noqa: BLE001 what was done is done: that it could not be filed must not change the answer, but is told in the log
            telemetry.log.error("a staff request was not audited", path=request.path, request_id=request.id, exc_info=error)

    def _find(self, request: Request) -> _Served:
        request.refuse_card_in_target()
        found = self._router.find(request.path)
        if found is None:
            raise NotFound("route.not_found", f"nothing answers {request.path}")
        targets, values = found
        target = targets.get(request.method) or (targets.get("GET") if request.method == "HEAD" else None)
        if target is None:
            refusal = DomainError("method.not_allowed", f"{request.path} answers {', '.join(sorted(targets))}, not {request.method}")
            refusal.status, refusal.title = 405, "Method not allowed"
            raise refusal
        served, names = target
        request.path_values = dict(zip(names, values, strict=True))
        result: _Served = served
        return result

    def _plan(self, route: Route, handle: Callable[[type[Message]], Handle], keys: Keys | None) -> Ask:
        once = self._once(route, keys)
        if route.endpoint is not None:
            endpoint = route.endpoint
            return lambda request: once(request, lambda: endpoint(request), as_response)
        assert route.message is not None, f"{route.path} has neither a message nor an endpoint"
        binding, handler, render = Binding(route, self._clock), handle(route.message), renderer(route)

        async def ask(request: Request) -> Response:
            message = await binding.bind(request)  # a request that cannot be read is never filed under its key

            async def work() -> Response:
                return render(await handler(message))

            return await once(request, work, render)

        return ask

    def _once(self, route: Route, keys: Keys | None) -> Callable[[Request, Callable[[], Awaitable[Response]], Callable[[Any], Response]], Awaitable[Response]]:
        async def once(request: Request, work: Callable[[], Awaitable[Response]], render: Callable[[Any], Response]) -> Response:
            key = request.header("idempotency-key") if route.idempotency != "no" else ""
            if route.idempotency_field:
                key = (await request.form()).get(route.idempotency_field, "")
            if key and keys:
                return await keys.once(request, key, work, None if route.idempotency_field else render, lambda refusal: self._problem(request, refusal))
            if route.idempotency == "required":
                raise Malformed("idempotency.key_required", "send an Idempotency-Key header: a new one for each thing you want done")
            return await work()

        return once

    # ---------------------------------------------------------------- answers

    def _problem(self, request: Request, refusal: DomainError) -> Response:
        headers: Headers = []
        if isinstance(refusal, Unauthenticated):
            headers.append((b"www-authenticate", refusal.challenge.encode()))
        if isinstance(refusal, TooManyRequests):
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        problem = Problem(refusal.title, refusal.status, refusal.detail, refusal.code, instance=request.id, errors=refusal.errors)
        return self._refusal(request, problem, headers)

    def _refusal(self, request: Request, problem: Problem, headers: Headers) -> Response:
        """A document for programs; a page for a person who is looking for one."""
        problem = shown(problem)
        if self.problem_page is None or request.path.startswith(f"{API}/") or b"text/html" not in request.headers.get(b"accept", b""):
            return document(problem, headers)
        response = self.problem_page(request, problem)
        response.headers += headers
        return response

    def _stats(self, served: _Served, status: int) -> RouteStats:
        return served.stats.get(status) or served.stats.setdefault(status, self.stats.of(served.route.method, served.route.path, status))

    async def _send_kept(self, kept: Kept, headers: dict[bytes, bytes], send: Callable[[Any], Awaitable[None]], began: float) -> None:
        unchanged = kept.etag and kept.etag in headers.get(b"if-none-match", b"")
        await send({"type": "http.response.start", "status": 304 if unchanged else 200, "headers": kept.headers})
        await send({"type": "http.response.body", "body": b"" if unchanged else kept.body})
        assert isinstance(kept.stats, RouteStats)
        kept.stats.observe(time.perf_counter() - began)

    async def _send(self, request: Request, response: Response, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if request.method == "HEAD" and response.stream is None and response.status not in BODILESS:  # else caches take the answer to a GET for another one
            response.headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        if response.stream is None:
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})
            return
        pumping = asyncio.ensure_future(pump(response, send))
        leaving = asyncio.ensure_future(disconnected(receive))
        self._streams.add(pumping)
        try:
            await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(pumping)
            pumping.cancel()
            leaving.cancel()
            await asyncio.gather(pumping, leaving, return_exceptions=True)


def _within_span(meta: Meta) -> Meta:
    """What is done for a request belongs below its span, where there is one."""
    trace = telemetry.traceparent()
    return Meta(actor=meta.actor, request=meta.request, trace=trace) if trace else meta


def _of_anybody(headers: dict[bytes, bytes]) -> bool:
    """Whether nothing in a request says who asks, so that its answer is anybody's."""
    return b"cookie" not in headers and b"authorization" not in headers and b"x-api-key" not in headers


def _kept_by(request: Request, served: _Served | None) -> tuple[bytes, bytes]:
    if served is None or not served.etag or request.method not in SAFE:
        return BY_NOBODY
    return BY_ANYBODY if served.route.cached and _of_anybody(request.headers) else BY_ITS_READER


def _tell_security(request: Request, refusal: DomainError) -> None:
    """Whoever is only to sign in first, as guests and those with a second factor are, is no event."""
    kind = SECURITY.get(refusal.status) if refusal.code not in TO_SIGN_IN else None
    if refusal.code == CARD:
        kind = "card"
    if kind:
        who = request.identity
        about = {"user_id": who.user_id, "client_id": who.client_id} if who else {}
        security.tell(kind, code=refusal.code, method=request.method, path=request.path, address=request.client, request_id=request.id, **about)


def _restrict(request: Request, route: Route, access: Access) -> None:
    """A program does what its scopes lend; what programs may do as guests is done for nobody, and pages are for people. Raises Forbidden."""
    identity = request.identity
    if identity is None or identity.scopes is None or (route.public and access.lends(identity, route.right)):
        return
    if route.public:
        access.enter(identity, route.right)
    elif not access.grants(None, route.right):
        raise Forbidden("scope.never", "this page is for people: programs ask the API below /api/v1")
    request.identity = None


def _reads_russian(accepted: bytes) -> bool:
    """Of Accept-Language; most headers begin with a language that the shop speaks."""
    first = accepted[:2]
    return first == b"ru" or (first not in (b"", b"en") and first_spoken(accepted.decode("latin-1")) is Language.RU)
