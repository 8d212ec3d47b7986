"""The edge as one ASGI application: finds the route, the identity and the message, has it handled, and answers; every failure is a problem document."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from torg.kit import telemetry
from torg.kit.auth import STAFF, Authenticate, permit
from torg.kit.calls import Handle
from torg.kit.errors import DomainError, Forbidden, Malformed, NotFound, Overloaded, Problem, TooManyRequests, Unauthenticated, Unavailable
from torg.kit.failpoints import reached
from torg.kit.http.admission import RETRY_AFTER, Admission
from torg.kit.http.binding import Binding
from torg.kit.http.cache import Keeping, Kept, Key, ResponseCache
from torg.kit.http.idempotency import Answers, Keys
from torg.kit.http.metrics import RequestStats, RouteStats
from torg.kit.http.request import JSON, Headers, Request, Response, first_spoken
from torg.kit.http.routes import API, Route, Router
from torg.kit.messages import Message, Meta, encode
from torg.kit.values import Clock, Language, NewId

if TYPE_CHECKING:
    from torg.kit.http.shared_keys import SharedKeys

SESSION_COOKIE = "session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
REQUEST_ID = "torg.request_id"
"""Where in a scope an edge in front of this one has put the id that it gave the request."""
TRACEPARENT = 55  # characters (W3C Trace Context, version 00)
SECURITY: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"x-frame-options", b"DENY"),
]
Ask = Callable[[Request], Awaitable[Response]]
Audit = Callable[[Request, Route, Response], Awaitable[None]]
"""Files who of the staff changed what, with what came of it."""
ProblemPage = Callable[[Request, Problem], Response]
"""Shows a problem to a person."""


class _Served:
    """A route with everything that can be worked out before the first request."""

    __slots__ = ("ask", "etag", "route", "stats")

    def __init__(self, route: Route, ask: Ask, stats: dict[int, RouteStats]) -> None:
        self.route, self.ask, self.stats, self.etag = route, ask, stats, route.etag


class App:
    """All routes of a process. `authenticate` turns a token into an identity; `cache` keeps public answers (None: keeps nothing); `audit` is told
    of every request of the staff that was to change something, once it was handled; `secret` keys what is filed of a request's body; `keys` are
    those for which other processes answer as well; `admission` says who is let in while more is asked than can be done (None: everybody)."""

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
    ) -> None:
        self._clock, self._new_id, self._authenticate, self._audit = clock, new_id, authenticate, audit
        self.cache, self._keys, self._secret = cache, keys, hashlib.blake2b(secret, digest_size=32).digest()
        self.problem_page: ProblemPage | None = None
        self.admission = admission
        self.stats = RequestStats()
        self.routes: list[Route] = []
        self._router = Router()
        self._streams: set[asyncio.Task[Any]] = set()
        self._closing = False
        self._unknown = self.stats.of("-", "-", 404)

    def add(self, routes: Iterable[Route], handle: Callable[[type[Message]], Handle], store: Answers | None = None) -> None:
        """Serves a context's routes; `handle` finds who handles a message, `store` files answers to Idempotency-Keys."""
        keys = Keys(store, self._secret, self._keys) if store else None
        for route in routes:
            self.routes.append(route)
            self._router.add(route.method, route.path, _Served(route, self._plan(route, handle, keys), {}))

    async def close(self) -> None:
        """Ends open streams, and those that are still to come; clients resume them elsewhere by Last-Event-ID."""
        self._closing = True
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    # ---------------------------------------------------------------- one request

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"only HTTP is served here, not {scope['type']}")
        began = time.perf_counter()
        method, path, headers = scope["method"], scope["path"], dict(scope["headers"])
        key: Key = (path, scope["query_string"], _reads_russian(headers.get(b"accept-language", b"")))
        if self.cache is not None and method == "GET" and (kept := self.cache.get(key)) and _of_anybody(headers):
            await self._send_kept(kept, headers, send, began)
            return
        client = scope.get("client") or ("", 0)
        id = scope.get(REQUEST_ID) or self._new_id()
        request = Request(method, path, scope["query_string"], headers, receive, id, scope.get("scheme", "http"), client[0])
        if self.cache is not None and method == "GET" and _of_anybody(headers) and (keeping := self._keeping(path)):
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
            return _kept(made[0], keeping) if made[0].status == 200 else None

        kept = await cache.fetch(key, keeping, make)
        if made:
            return _unless_unchanged(request, made[0])
        return kept or await self._answer(request, began)

    async def _answer(self, request: Request, began: float, whole: bool = False) -> Response:
        """Everything but sending it; `whole`, though the client may have it already."""
        served, response = await self._respond(request)
        if self._closing and response.stream is not None:
            response = self._refusal(request, Problem("Not available right now", 503, "this server is closing: ask again", "service.unavailable"), [])
        if served and served.route.audited and self._audit and request.method not in SAFE and request.identity and not STAFF.isdisjoint(request.identity.roles):
            await self._tell(self._audit, request, served.route, response)
        response.headers += SECURITY
        response.headers.append((b"x-request-id", request.id.encode()))
        if served and served.etag and response.status == 200:
            _add_etag(response)
            response = response if whole else _unless_unchanged(request, response)
        (self._stats(served, response.status) if served else self._unknown).observe(time.perf_counter() - began)
        return response

    async def _respond(self, request: Request) -> tuple[_Served | None, Response]:
        served: _Served | None = None
        try:
            served = self._find(request)
            return served, await self._in_turn(request, served)
        except DomainError as refusal:
            return served, self._problem(request, refusal)
        except Overloaded as busy:
            problem = Problem("Too busy just now", 503, busy.detail, "service.overloaded", instance=request.id)
            return served, self._refusal(request, problem, [(b"retry-after", str(busy.retry_after).encode())])
        except Unavailable as away:
            telemetry.log.warning("unavailable", path=request.path, detail=away.detail, request_id=request.id)
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
            return _overloaded(request)
        try:
            return await self._work(request, served)
        finally:
            self.admission.end()

    async def _work(self, request: Request, served: _Served) -> Response:
        await self._identify(request, served.route)
        permit(request.identity, served.route.who)
        meta = Meta(actor=request.identity.user_id if request.identity else "", request=request.id, trace=_trace(request))
        with telemetry.span("http", served.route.path, meta), telemetry.acting(_within_span(meta)):
            return await served.ask(request)

    async def _tell(self, audit: Audit, request: Request, route: Route, response: Response) -> None:
        try:
            await audit(request, route, response)
        except Exception as error:  # noqa: BLE001 what was done is done: that it could not be filed must not change the answer, but is told in the log
            telemetry.log.error("a staff request was not audited", path=request.path, request_id=request.id, exc_info=error)

    def _find(self, request: Request) -> _Served:
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

    async def _identify(self, request: Request, route: Route) -> None:
        authorization = request.headers.get(b"authorization")
        if authorization is not None:
            scheme, _, token = authorization.decode("latin-1").partition(" ")
            request.identity = await self._authenticate(token) if scheme.lower() == "bearer" else None
            if request.identity is None:
                raise Unauthenticated("session.invalid", "this access token is unknown, expired or revoked: sign in again")
        elif b"cookie" in request.headers and (token := request.cookie(SESSION_COOKIE)):
            request.identity = await self._authenticate(token)
            if request.identity and request.method not in SAFE:
                refuse_forgery(request)

    def _plan(self, route: Route, handle: Callable[[type[Message]], Handle], keys: Keys | None) -> Ask:
        once = self._once(route, keys)
        if route.endpoint is not None:
            endpoint = route.endpoint
            return lambda request: once(request, lambda: endpoint(request), _as_response)
        assert route.message is not None, f"{route.path} has neither a message nor an endpoint"
        binding, handler, render = Binding(route, self._clock), handle(route.message), _renderer(route)

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
            headers.append((b"www-authenticate", b"Bearer"))
        if isinstance(refusal, TooManyRequests):
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        problem = Problem(refusal.title, refusal.status, refusal.detail, refusal.code, instance=request.id, errors=refusal.errors)
        return self._refusal(request, problem, headers)

    def _refusal(self, request: Request, problem: Problem, headers: Headers) -> Response:
        """A document for programs; a page for a person who is looking for one."""
        if self.problem_page is None or request.path.startswith(f"{API}/") or b"text/html" not in request.headers.get(b"accept", b""):
            return _document(problem, headers)
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
        await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
        if response.stream is None:
            await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.body})
            return
        pumping = asyncio.ensure_future(_pump(response, send))
        leaving = asyncio.ensure_future(_disconnected(receive))
        self._streams.add(pumping)
        try:
            await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(pumping)
            pumping.cancel()
            leaving.cancel()
            await asyncio.gather(pumping, leaving, return_exceptions=True)


async def _pump(response: Response, send: Callable[[Any], Awaitable[None]]) -> None:
    assert response.stream is not None
    try:
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _within_span(meta: Meta) -> Meta:
    """What is done for a request belongs below its span, where there is one."""
    trace = telemetry.traceparent()
    return Meta(actor=meta.actor, request=meta.request, trace=trace) if trace else meta


def _document(problem: Problem, headers: Headers | None = None) -> Response:
    return Response(problem.status, encode(problem), [(b"content-type", b"application/problem+json"), *(headers or [])])


def _overloaded(request: Request) -> Response:
    """Never a page: making one would take as long as what is refused."""
    return _document(overloaded(request.id), [(b"retry-after", b"%d" % RETRY_AFTER)])


def overloaded(request_id: str) -> Problem:
    """What whoever is refused for want of time is told."""
    return Problem("Too busy just now", 503, "more is asked than can be answered: try again in a moment", "service.overloaded", instance=request_id)


def _as_response(reply: Any) -> Response:
    if not isinstance(reply, Response):
        raise TypeError("an endpoint that takes Idempotency-Keys files its Response: tx.answer(response)")
    return reply


def _renderer(route: Route) -> Callable[[Any], Response]:
    def render(reply: Any) -> Response:
        headers: Headers = [JSON] if reply is not None else []
        if route.location:
            headers.append((b"location", route.location(reply).encode()))
        if route.reply_headers:
            headers += [(name.lower().encode(), value.encode()) for name, value in route.reply_headers(reply)]
        return Response(route.status, encode(reply) if reply is not None else b"", headers)

    return render


def _of_anybody(headers: dict[bytes, bytes]) -> bool:
    """Whether nothing in a request says who asks, so that its answer is anybody's."""
    return b"cookie" not in headers and b"authorization" not in headers


def _trace(request: Request) -> str:
    """The client's traceparent, if it can be one: it is written beside everything that comes of the request."""
    given = request.header("traceparent")
    return given if len(given) == TRACEPARENT else ""


def _reads_russian(accepted: bytes) -> bool:
    """Of Accept-Language; most headers begin with a language that the shop speaks."""
    first = accepted[:2]
    return first == b"ru" or (first not in (b"", b"en") and first_spoken(accepted.decode("latin-1")) is Language.RU)


def _add_etag(response: Response) -> None:
    if not _etag(response):  # some put a version into their own
        response.headers.append((b"etag", f'"{hashlib.blake2b(response.body, digest_size=8).hexdigest()}"'.encode()))
    response.headers.append((b"vary", b"accept-language"))


def _etag(response: Response) -> bytes:
    return next((value for name, value in response.headers if name == b"etag"), b"")


def _unless_unchanged(request: Request, response: Response) -> Response:
    """The answer, or 304 for a client that has it already."""
    etag = _etag(response)
    if not etag or etag not in request.headers.get(b"if-none-match", b""):
        return response
    return Response(304, b"", [header for header in response.headers if header[0] != b"content-type"])


def _kept(response: Response, keeping: Keeping) -> Kept:
    headers = [header for header in response.headers if header[0] != b"x-request-id"]
    return Kept(response.body, headers, _etag(response), time.monotonic() + keeping.seconds, keeping.stats)


def refuse_forgery(request: Request) -> None:
    """A cookie alone proves nothing about who made the page: the browser's own word must say that it was ours (Fetch Metadata; Origin where absent)."""
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site in ("same-origin", "none") or (not site and (not origin or origin.partition("://")[2] == request.header("host"))):
        return
    raise Forbidden("request.forged", "this request was sent by another site's page")
