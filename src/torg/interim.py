"""What a process answers before it is open, and while it closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from torg.kit.errors import Unavailable
from torg.kit.http.operations import Health, Readiness
from torg.kit.messages import encode
from torg.kit.rpc.exchange import GRANTED, Asgi
from torg.kit.rpc.wire import refuse
from torg.kit.scrubbing import clean


class Waiting:
    """What a process answers that cannot start yet: it lives, and is not ready, for a reason (`detail`)."""

    def __init__(self) -> None:
        self.detail = ""

    async def __call__(self, scope: Any, _: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        answers = {"/health": encode(Health("starting")), "/ready": encode(Readiness("not ready", {"start": clean(self.detail)}))}
        body = answers.get(scope["path"]) or encode(refuse(Unavailable(f"this process cannot start yet: {self.detail}")))
        headers = [(b"content-type", b"application/json"), (b"retry-after", b"1")]
        await send({"type": "http.response.start", "status": 200 if scope["path"] == "/health" else 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Closing:
    """An application. Once it `begins` to close, each answer asks its client for a new connection: the next one finds another process."""

    def __init__(self, application: Asgi | None) -> None:
        self._application, self._closing = application, False

    def begin(self) -> None:
        self._closing = True

    async def __call__(self, scope: object, receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        assert self._application is not None
        await self._application(scope, receive, self._last(send) if self._closing else send)

    def _last(self, send: Callable[[dict[str, object]], Awaitable[None]]) -> Callable[[dict[str, object]], Awaitable[None]]:
        async def last(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start" and message["status"] != GRANTED:
                headers = message["headers"]
                assert isinstance(headers, list)
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        return last
