"""What a context's process answers: signed calls of its fleet, requests that the gateway hands on, and questions about its health. Nobody else gets in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import quote

from torg.kit.errors import Problem
from torg.kit.http.app import REQUEST_ID
from torg.kit.messages import encode
from torg.kit.rpc import wire
from torg.kit.rpc.signing import Signer

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
OPEN: Final = frozenset({"/health", "/ready", "/metrics"})
HANDED_ON, FORWARDED, PROTO, REQUEST = b"torg-gateway", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id"
GOOD_FOR: Final = 30.0  # seconds: the body may take longer, its head does not


def handed_on(signer: Signer, method: bytes, target: bytes, client: bytes, proto: bytes, request_id: bytes) -> bytes:
    """The gateway's signature of a request that it hands on. The body is not part of it: that streams."""
    return signer.sign(GOOD_FOR, method, client, proto, request_id, target)


class Front(Protocol):
    """What answers at the shop's address."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def close(self) -> None:
        """Ends what would go on without end: streams."""
        ...


class Door:
    """An ASGI application in front of a process's others."""

    def __init__(self, http: Asgi, rpc: Asgi, gateway: Signer) -> None:
        self._http, self._rpc, self._gateway = http, rpc, gateway

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        path: str = scope["path"]
        if path.startswith(wire.PREFIX):
            await self._rpc(scope, receive, send)
        elif path in OPEN:
            await self._http(scope, receive, send)
        elif fault := self._pass(scope):
            await _refuse(send, fault)
        else:
            await self._http(scope, receive, send)

    def _pass(self, scope: Any) -> str:
        """Takes over what the gateway says of a request; else what is wrong."""
        headers = dict(scope["headers"])
        client, proto, request_id = headers.get(FORWARDED, b""), headers.get(PROTO, b""), headers.get(REQUEST, b"")
        parts = (scope["method"].encode(), client, proto, request_id, target_of(scope))
        if fault := self._gateway.fault(headers.get(HANDED_ON, b""), *parts):
            return fault
        scope["client"], scope["scheme"], scope[REQUEST_ID] = (client.decode("latin-1"), 0), proto.decode("latin-1"), request_id.decode("latin-1")
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
    problem = Problem("Sign-in needed", 401, f"only the gateway is answered here, by its signature: {fault}", "gateway.required")
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/problem+json")]})
    await send({"type": "http.response.body", "body": encode(problem)})
