"""What a context's process answers: signed calls of its fleet, requests that the gateway hands on, and questions about its health. Nobody else gets in."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import quote

from torg.kit import security
from torg.kit.chain import ends
from torg.kit.errors import Problem
from torg.kit.http.app import REQUEST_ID
from torg.kit.http.cache import FOR_GATEWAY
from torg.kit.http.monitoring import OPEN
from torg.kit.messages import encode
from torg.kit.rpc import wire
from torg.kit.rpc.identity import BadIdentity, Identities, Introduction

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
GATEWAY: Final = "gateway"
"""As whom requests are handed on."""
HANDED_ON, FORWARDED, PROTO, REQUEST = b"torg-gateway", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"
KEEPS: Final = b"torg-keeps"
"""The gateway keeps the answer, if it may."""
GOOD_FOR: Final = 30.0  # seconds: the body may take longer, its head does not


def handed_on(between: Introduction, method: bytes, target: bytes, client: bytes, proto: bytes, request_id: bytes) -> bytes:
    """The gateway's signature of a request that it hands on. The body is not part of it: that streams."""
    return between.handed_on.sign(GOOD_FOR, method, client, proto, request_id, target)


class Front(Protocol):
    """What answers at the shop's address."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def close(self) -> None:
        """Ends what would go on without end: streams."""
        ...


class Door:
    """An ASGI application in front of a process's others."""

    def __init__(self, http: Asgi, rpc: Asgi, identities: Identities) -> None:
        self._http, self._rpc, self._identities = http, rpc, identities

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        path: str = scope["path"]
        if path.startswith(wire.PREFIX):
            await self._rpc(scope, receive, send)
        elif path in OPEN:
            await self._http(scope, receive, send)
        elif fault := self._pass(scope):
            security.tell("call", code="gateway.required", path=path, address=(scope.get("client") or ("",))[0], detail=fault)
            await _refuse(send, fault)
        elif (given := _given(scope["headers"])) is None:
            await self._http(scope, receive, send)
        else:
            await self._in_time(given, scope, receive, send)

    async def _in_time(self, seconds: float, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        """What has not begun its answer by then is given up, as are the calls that it makes for it: nobody waits for them any more."""
        begun = False

        async def begin(message: Any) -> None:
            nonlocal begun
            if not begun:
                begun = True
                limit.reschedule(None)  # it may take as long as there is something to say
                ends.set(math.inf)
            await send(message)

        try:
            async with asyncio.timeout(seconds) as limit:
                ends.set(time.monotonic() + seconds)
                await self._http(scope, receive, begin)
        except TimeoutError:
            if begun:
                raise
            problem = Problem("Not available right now", 503, f"this was not done in {seconds:.1f} s", "service.unavailable", instance=scope[REQUEST_ID])
            await _tell(send, problem, (b"retry-after", b"1"))

    def _pass(self, scope: Any) -> str:
        """Takes over what the gateway says of a request; else what is wrong."""
        headers = dict(scope["headers"])
        client, proto, request_id = headers.get(FORWARDED, b""), headers.get(PROTO, b""), headers.get(REQUEST, b"")
        parts = (scope["method"].encode(), client, proto, request_id, target_of(scope))
        try:
            between = self._identities.recognise(headers.get(wire.IDENTITY, b""))
        except BadIdentity as error:
            return str(error)
        if between.caller != GATEWAY:
            return f"{between.caller} is none"
        if fault := between.handed_on.fault(headers.get(HANDED_ON, b""), *parts):
            return fault
        scope["client"], scope["scheme"], scope[REQUEST_ID] = (client.decode("latin-1"), 0), proto.decode("latin-1"), request_id.decode("latin-1")
        if KEEPS in headers:
            scope[FOR_GATEWAY] = True
        return ""


def either(front: Asgi, door: Asgi) -> Asgi:
    """Both at one address: calls to the door, everything else to the front."""

    async def ask(scope: Any, receive: Any, send: Any) -> None:
        await (door if scope["path"].startswith(wire.PREFIX) else front)(scope, receive, send)

    return ask


def target_of(scope: Any) -> bytes:
    """The path and query as they were sent."""
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return raw + b"?" + query if query else raw


async def _refuse(send: Callable[[Any], Awaitable[None]], fault: str) -> None:
    await _tell(send, Problem("Sign-in needed", 401, f"only the gateway is answered here, by its signature: {fault}", "gateway.required"))


async def _tell(send: Callable[[Any], Awaitable[None]], problem: Problem, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": problem.status, "headers": [(b"content-type", b"application/problem+json"), *headers]})
    await send({"type": "http.response.body", "body": encode(problem)})


def _given(headers: list[tuple[bytes, bytes]]) -> float | None:
    """Seconds in which the answer has to begin, where the gateway says so."""
    return next((int(value) / 1000 for name, value in headers if name == wire.WITHIN and value.isdigit()), None)
