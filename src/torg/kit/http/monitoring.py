"""Figures, and what exactly is amiss, are for those who run the shop: for their networks, and for a port of their own that nobody else reaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from torg.kit.errors import Problem
from torg.kit.http.guards import DOCUMENT
from torg.kit.http.request import JSON
from torg.kit.messages import encode
from torg.kit.networks import Networks, parsed
from torg.kit.scrubbing import clean

METRICS, READY = "/metrics", "/ready"
OPEN: Final = frozenset({"/health", READY, METRICS})
"""What a process says about itself."""
FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for"})
PROBLEM: Final = (b"content-type", b"application/problem+json")
Asgi = Callable[[Any, Any, Any], Awaitable[None]]
Send = Callable[[Any], Awaitable[None]]


class Veiled:
    """An ASGI application in front of all that is answered outside: strangers hear whether the shop is ready, and nothing else about the process."""

    def __init__(self, inner: Asgi, near: Networks) -> None:
        self._inner, self._near = inner, near

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        path = scope.get("path")
        if path not in (METRICS, READY) or self._hears(scope):
            await self._inner(scope, receive, send)
        elif path == METRICS:
            await _not_found(send, METRICS)
        else:
            await self._inner(scope, receive, _bare(send))

    def _hears(self, scope: Any) -> bool:
        """Whether one of those who watch asks, and not for somebody else, as a proxy beside them does."""
        address = parsed((scope.get("client") or ("",))[0])
        return address is not None and address in self._near and not any(name in FORWARDED for name, _ in scope["headers"])


class Monitoring:
    """What answers at the port for those who watch: all that `shop` says about the process, and nothing else of it."""

    def __init__(self, shop: Asgi) -> None:
        self._shop = shop

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["path"] in OPEN:
            await self._shop(scope, receive, send)
        else:
            await _not_found(send, scope["path"])


def _bare(send: Send) -> Send:
    status = 0

    async def bare(message: Any) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            kept = [header for header in message["headers"] if header[0] not in (b"content-length", b"content-type")]
            await send({**message, "headers": [*kept, JSON]})
        else:
            await send({**message, "body": message["body"] and encode({"status": "ready" if status == 200 else "not ready"})})

    return bare


async def _not_found(send: Send, path: str) -> None:
    problem = Problem("Not found", 404, clean(f"nothing answers {path} here"), "route.not_found")
    await send({"type": "http.response.start", "status": 404, "headers": [PROBLEM, *DOCUMENT]})
    await send({"type": "http.response.body", "body": encode(problem)})
