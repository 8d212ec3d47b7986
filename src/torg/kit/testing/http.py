"""Asks an App without a server: the same path as a real request, minus the socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from torg.kit.auth import Identity
from torg.kit.calls import Handlers
from torg.kit.deps import Deps
from torg.kit.http import App, Route
from torg.kit.http.cache import ResponseCache
from torg.kit.http.routes import API
from torg.kit.module import bound
from torg.kit.rpc.paths import unquote
from torg.kit.values import new_id

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def ask(app: Asgi, method: str, target: str, body: object = None, *, raw: bytes | None = None, **headers: Any) -> Answer:
    """Sends one request. `body` goes as JSON, `raw` as it is; header names with _ for -."""
    path, _, query = target.partition("?")
    data = raw if raw is not None else b"" if body is None else msgspec.json.encode(body)
    sent = {"host": "torg.test", **({"content-type": "application/json"} if data else {}), **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http", "method": method, "path": unquote(path.encode()), "query_string": query.encode(), "scheme": "http", "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    }  # fmt: skip
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, send)
    got = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return Answer(messages[0]["status"], got, b"".join(message["body"] for message in messages[1:]))


def edge(deps: Deps, handlers: Handlers, routes: Iterable[Route], people: Mapping[str, Identity], cache: ResponseCache | None = None) -> App:
    """The edge in front of one context; whoever is among the `people` signs in with their name for a token."""

    async def authenticate(token: str) -> Identity | None:
        return people.get(token)

    app, bound_handlers = App(deps.clock, new_id, authenticate, cache), bound(handlers, deps)
    app.add(routes, lambda kind: bound_handlers[kind], deps.store)
    return app


@dataclass(frozen=True)
class Client:
    """Asks the API, each time as one of the edge's people, or as a guest under an empty name."""

    app: App

    async def __call__(self, who: str, method: str, path: str, body: object = None, **more: Any) -> Answer:
        signed = {"authorization": f"Bearer {who}"} if who else {}
        return await ask(self.app, method, f"{API}{path}", body, **{**signed, **more})
