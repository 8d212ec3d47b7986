"""What stands in front of everything that is answered outside: who comes from where, whether they may come in, and how often."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from prometheus_client import Counter

from torg.contexts.gateway.adapters.front_asgi import Asgi, Gateway
from torg.contexts.gateway.adapters.https_asgi import over_plain_http
from torg.contexts.gateway.adapters.networks import Lists, Proxies, Standing, shared
from torg.contexts.gateway.adapters.services_http import Beside
from torg.contexts.gateway.model import Declared
from torg.kit import security, telemetry
from torg.kit.auth import Authenticate
from torg.kit.errors import Problem, Unavailable
from torg.kit.http.app import REQUEST_ID, ProblemPage
from torg.kit.http.cookies import cookie_name, is_secure
from torg.kit.http.guards import guard
from torg.kit.http.identifying import SESSION_COOKIE
from torg.kit.http.monitoring import OPEN as ABOUT_ITSELF
from torg.kit.http.request import Headers, Request, Response
from torg.kit.http.routes import API
from torg.kit.limits.model import Limit
from torg.kit.limits.ports import Claim, Limiter
from torg.kit.limits.slots import Slot
from torg.kit.messages import encode
from torg.kit.values import NewId

RECOGNISED: Final = 20.0  # seconds for which it is remembered whom a token belongs to: to count by, and for nothing else
FACES: Final = 20_000
PATHS: Final = 8192  # paths whose limits are remembered
BUSY, AWAY = 1, 1  # seconds to come back after
REFUSED: Final = Counter("torg_gateway_refused_total", "Requests that the front door let nobody see, by the reason", ("reason",))
"""limit <name>, limits away, blocked, country, at the same time."""


class Caller(NamedTuple):
    """By what somebody is counted: their own id, or where they come from; `tier` is a program's."""

    key: str
    person: bool
    tier: str

    @property
    def place(self) -> str:
        """Where their requests under way are counted: a person's programs have a place of their own, and keep nobody out of the shop whom they act for."""
        return f"{self.key}/programs" if self.tier else self.key


@dataclass(frozen=True)
class Plan:
    """The limits of a path. `by_address` holds before anybody looks at who it is."""

    by_address: tuple[Limit, ...]
    by_caller: tuple[Limit, ...]
    by_guest: tuple[Limit, ...]
    by_person: tuple[Limit, ...]
    by_tier: dict[str, tuple[Limit, ...]]
    closed: bool
    """Whether nobody comes in while it can't be counted."""

    @property
    def empty(self) -> bool:
        return not (self.by_address or self.by_caller or self.by_person or self.by_tier)


class Guard:
    """An ASGI application in front of the shop or of the gateway. `limiter`: None where nothing is limited. `page` shows a refusal to a person;
    `address`: where the shop is reached; a proxy that says that somebody came there over plain HTTP, where it begins with https:, is answered for it."""

    def __init__(
        self,
        inner: Asgi,
        declared: Declared,
        limiter: Limiter | None,
        authenticate: Authenticate,
        lists: Lists,
        proxies: Proxies | None,
        new_id: NewId,
        page: Callable[[], ProblemPage | None] = lambda: None,
        address: str = "",
    ) -> None:
        secure = self._secure = is_secure(address)
        self._inner, self._limiter, self._lists, self._proxies, self._new_id, self._page = inner, limiter, lists, proxies, new_id, page
        self._faces, self._address = Callers(authenticate), address
        self._cookie = cookie_name(SESSION_COOKIE, secure).encode()
        self._most = declared.bounds.requests_per_person
        self._warned = False
        self._plan = lru_cache(PATHS)(_planner(declared))
        self._policy = lru_cache(256)(_policy)

    async def close(self) -> None:
        """Ends what would go on without end, in the gateway behind this."""
        if isinstance(self._inner, Gateway | Beside):
            await self._inner.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        token, forwarded, proto = _said(scope["headers"], self._cookie)
        client: str = (scope.get("client") or ("",))[0]
        if self._proxies and client in self._proxies:
            client = self._proxies.client(client, forwarded)
            scope["client"], scope["scheme"] = (client, 0), proto or scope.get("scheme", "http")
            if proto == "http" and self._secure and scope["path"] not in ABOUT_ITSELF:
                await _answer(scope, send, over_plain_http(scope, self._address), self._secure)
                return
        elif forwarded and not self._warned:
            self._warned = True  # once: anybody can send such a header
            telemetry.log.warning("x-forwarded-for is not believed: if this is a proxy of yours, name it in TORG_PROXIES", address=client)
        standing = self._lists.standing(client)
        if standing > Standing.ALLOWED:
            await self._turn_away(scope, receive, send, standing)
        elif self._limiter is None:
            await self._inner(scope, receive, send)
        else:
            await self._count(scope, receive, send, self._limiter, client if standing is Standing.ORDINARY else "", token)

    async def _count(self, scope: Any, receive: Any, send: Any, limiter: Limiter, client: str, token: str) -> None:
        """`client` is empty for those that are not counted by where they come from."""
        plan = self._plan(scope["path"], scope["method"])
        if plan.empty:
            await self._inner(scope, receive, send)
            return
        address = shared(client)
        claims: list[Claim] = [(limit, address) for limit in plan.by_address] if client else []
        caller = self._faces.known(token) if token else None
        if token and caller is None:
            if claims and await self._refused(scope, receive, send, limiter, claims, plan):  # a flood of made-up tokens ends before they are looked at
                return
            claims, caller = [], await self._faces.recognise(token)
        person = caller is not None and caller.person
        if caller is not None and person:
            claims += [(limit, caller.key) for limit in (*plan.by_caller, *plan.by_person, *plan.by_tier.get(caller.tier, ()))]
        elif client:
            claims += [(limit, address) for limit in plan.by_guest]
        slot = Slot(caller.place, self._most) if caller is not None and person else None
        told: Headers = []
        try:
            if (claims or slot) and await self._refused(scope, receive, send, limiter, claims, plan, told, slot):
                return
            await self._inner(scope, receive, _telling(send, told) if told else send)
        finally:
            if slot is not None:
                limiter.leave(slot)

    async def _refused(
        self, scope: Any, receive: Any, send: Any, limiter: Limiter, claims: Sequence[Claim], plan: Plan, told: Headers | None = None, slot: Slot | None = None
    ) -> bool:  # fmt: skip
        """Whether a limit says no, or its owner has no slot left, which is answered; else waits until it is this request's turn, and says in `told` where its
        caller stands."""
        try:
            standings = await limiter.take(claims, slot)
        except Unavailable:
            if not plan.closed:
                return False
            detail = "it cannot be counted now how often this is asked, and this is not let in uncounted: try again in a moment"
            await self._refuse(scope, receive, send, Problem("Not available right now", 503, detail, "limits.unavailable"), "limits away", AWAY)
            return True
        wait, worst = 0.0, None
        for (limit, _), standing in zip(claims, standings, strict=False):
            if standing.passed:
                wait = max(wait, standing.wait)
            elif worst is None or standing.wait > worst[1].wait:
                worst = limit, standing
        if worst is not None:
            limit, standing = worst
            seconds = max(1, math.ceil(standing.wait))
            detail = f"{limit.name}: {limit.requests} requests in {limit.seconds:g} s at most; the next one passes in {seconds} s"
            headers = [(b"ratelimit-policy", self._policy((limit,))), (b"ratelimit", b'"%b";r=0;t=%d' % (limit.name.encode(), seconds))]
            await self._refuse(scope, receive, send, Problem("Too many requests", 429, detail, "limit.exceeded"), f"limit {limit.name}", seconds, headers)
            return True
        if slot is not None and not standings[-1].passed:
            detail = f"{slot.most} of your requests are under way already: wait for their answers"
            await self._refuse(scope, receive, send, Problem("Too many requests", 429, detail, "requests.too_many_at_once"), "at the same time", BUSY)
            return True
        if told is not None:
            shown = [(limit, standing) for (limit, _), standing in zip(claims, standings, strict=False) if limit not in plan.by_address]
            if shown:
                told += [
                    (b"ratelimit-policy", self._policy(tuple(limit for limit, _ in shown))),
                    (b"ratelimit", ", ".join([f'"{limit.name}";r={standing.remaining};t={math.ceil(standing.reset)}' for limit, standing in shown]).encode()),
                ]
        if wait:
            await asyncio.sleep(wait)
        return False

    async def _turn_away(self, scope: Any, receive: Any, send: Any, standing: Standing) -> None:
        if standing is Standing.BLOCKED:
            problem, reason = Problem("Not allowed", 403, "requests from this network are not taken at the moment", "network.blocked"), "blocked"
        else:
            problem, reason = Problem("Not allowed", 403, "this shop does not serve the country that this request comes from", "country.not_served"), "country"
        await self._refuse(scope, receive, send, problem, reason, 0)

    async def _refuse(
        self, scope: Any, receive: Any, send: Any, problem: Problem, reason: str, retry_after: int, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:  # fmt: skip
        REFUSED.labels(reason).inc()
        address: str = (scope.get("client") or ("",))[0]
        security.tell("limit", code=problem.code, reason=reason, method=scope["method"], path=scope["path"], address=address)
        id: str = scope.get(REQUEST_ID) or self._new_id()
        request = Request(
            scope["method"], scope["path"], scope["query_string"], dict(scope["headers"]), receive, id, scope.get("scheme", "http"), secure=self._secure
        )
        page = self._page()
        for_people = page is not None and b"text/html" in request.headers.get(b"accept", b"") and not request.path.startswith(f"{API}/")
        problem = Problem(problem.title, problem.status, problem.detail, problem.code, instance=id)
        response = page(request, problem) if page is not None and for_people else Response(problem.status, encode(problem), [PROBLEM])
        response.headers += [(b"x-request-id", id.encode()), *headers]
        if retry_after:
            response.headers.append((b"retry-after", b"%d" % retry_after))
        await _answer(scope, send, response, self._secure)


PROBLEM: Final = (b"content-type", b"application/problem+json")


async def _answer(scope: Any, send: Any, response: Response, secure: bool) -> None:
    guard(response, secure)
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})


class Callers:
    """Whose a token is, so that they can be counted. That it holds, whoever answers the request finds out for themselves."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate
        self._known: OrderedDict[str, tuple[float, Caller]] = OrderedDict()

    def known(self, token: str) -> Caller | None:
        found = self._known.get(token)
        return found[1] if found is not None and found[0] > time.monotonic() else None

    async def recognise(self, token: str) -> Caller:
        try:
            identity = await self._authenticate(token)
        except Unavailable:
            return STRANGER
        if identity is None:
            return STRANGER  # not remembered: it may become somebody's in a moment
        caller = Caller(identity.user_id, True, identity.tier)
        self._known.pop(token, None)
        self._known[token] = time.monotonic() + RECOGNISED, caller
        if len(self._known) > FACES:
            self._known.popitem(last=False)
        return caller


STRANGER: Final = Caller("", False, "")


def _said(headers: Sequence[tuple[bytes, bytes]], cookie: bytes) -> tuple[str, list[bytes], str]:
    """The token that a request comes with, where it says that it comes from, and by which scheme."""
    bearer, api_key, cookies, proto, forwarded = b"", b"", b"", "", []
    for name, value in headers:  # where one comes twice the last counts, as it does for the edge behind this
        if name == b"authorization":
            bearer = value.rpartition(b" ")[2]
        elif name == b"x-api-key":
            api_key = value
        elif name == b"cookie":
            cookies = value
        elif name == b"x-forwarded-for":
            forwarded.append(value)
        elif name == b"x-forwarded-proto":
            proto = value.rpartition(b",")[2].strip().decode("latin-1")
    token = (bearer or api_key).decode("latin-1") or (_session(cookies, cookie) if cookies else "")
    return token, forwarded, proto if proto in ("http", "https") else ""


def _session(cookies: bytes, cookie: bytes) -> str:
    token = b""
    if cookie in cookies:
        for pair in cookies.split(b";"):
            name, _, value = pair.partition(b"=")
            if name.strip() == cookie:
                token = value.strip().strip(b'"')
    return token.decode("latin-1")


def _telling(send: Any, told: Headers) -> Any:
    async def telling(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], *told]}
        await send(message)

    return telling


def _policy(limits: tuple[Limit, ...]) -> bytes:
    return ", ".join(f'"{limit.name}";q={limit.requests};w={math.ceil(limit.seconds)}' for limit in limits).encode()


def _planner(declared: Declared) -> Callable[[str, str], Plan]:
    rules = [(name, rule, rule.limit(name)) for name, rule in declared.limits.items() if rule.on]

    def plan(path: str, method: str) -> Plan:
        path = "/" + path.strip("/")  # as the router reads it
        meant = [(rule, limit) for _, rule, limit in rules if rule.covers(path) and (not rule.methods or method in rule.methods)]
        tiers = {rule.tier for rule, _ in meant if rule.tier}
        return Plan(
            tuple(limit for rule, limit in meant if rule.per == "address"),
            tuple(limit for rule, limit in meant if rule.per == "caller" and not rule.tier),
            tuple(rule.limit(limit.name, rule.guests) for rule, limit in meant if rule.per == "caller" and not rule.tier),
            tuple(limit for rule, limit in meant if rule.per == "person" and not rule.tier),
            {tier: tuple(limit for rule, limit in meant if rule.tier == tier) for tier in tiers},
            any(rule.away == "closed" for rule, _ in meant),
        )

    return plan
