"""What every process answers about itself: health, readiness, metrics, and the descriptions of its API and events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import CollectorRegistry

from torg.kit.access import PUBLIC
from torg.kit.errors import Unavailable
from torg.kit.http.admission import Urgency
from torg.kit.http.app import App
from torg.kit.http.request import JSON, Request, Response
from torg.kit.http.routes import Route
from torg.kit.messages import encode
from torg.kit.operations import Desk
from torg.kit.scrubbing import clean
from torg.kit.tasks import Supervisor
from torg.kit.telemetry import LAG

Describe = Mapping[str, Callable[[], Awaitable[Mapping[str, Any]]]]
"""Makes descriptions: "openapi" of the API, "asyncapi" of the events."""
DESCRIBED = 60.0  # seconds that a description is kept: some of it may come from processes that are newer by then
METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class Health(msgspec.Struct, frozen=True):
    status: str


class Readiness(msgspec.Struct, frozen=True):
    """`checks` says of each dependency "ok", or what is wrong with it."""

    status: str
    checks: dict[str, str]


def operations_routes(
    app: App,
    desks: Mapping[str, Desk],
    supervisor: Supervisor,
    checks: Mapping[str, Callable[[], Awaitable[str]]],
    describe: Describe,
    spares: Callable[[str], bool] = lambda _: False,
) -> Sequence[Route]:
    """Outside the API's prefix; the descriptions are made at the first asking, and then kept for a minute. `spares` says of a check's name whether
    the process can do without for a while: once all was well that is told of, and makes nothing unready."""
    own = CollectorRegistry()
    own.register(app.stats)
    if app.admission:
        own.register(app.admission)
    documents: dict[str, tuple[float, bytes]] = {}
    been_ready = asyncio.Event()

    async def health(_: Request) -> Response:
        return _json(encode(Health("alive")))

    async def ready(_: Request) -> Response:
        found = {f"{name}.store": await _store_answers(desk) for name, desk in desks.items()}
        found |= {name: await check() or "ok" for name, check in checks.items()}
        found |= {f"task {name}": error for name, error in supervisor.failing.items()}
        if all(text == "ok" for text in found.values()):
            been_ready.set()
        fine = been_ready.is_set() and all(text == "ok" for name, text in found.items() if not spares(name))
        response = _json(encode(Readiness("ready" if fine else "not ready", {name: clean(text) for name, text in found.items()})), 200 if fine else 503)
        if not fine:
            response.headers.append((b"retry-after", b"1"))
        return response

    async def metrics(_: Request) -> Response:
        for desk in desks.values():
            with suppress(Unavailable):  # another process's log cannot be asked for its length just now: the last figure stays
                for consumer, lags in (await desk.lags()).items():
                    for source, lag in lags.items():
                        LAG.labels(consumer, source).set(lag)
        return Response(200, generate_latest(own) + generate_latest(REGISTRY), [(b"content-type", METRICS)])

    async def described(name: str) -> Response:
        until, document = documents.get(name, (0.0, b""))
        if until < time.monotonic():
            document = encode(await describe[name]())
            documents[name] = time.monotonic() + DESCRIBED, document
        return _json(document)

    async def api(_: Request) -> Response:
        return await described("openapi")

    async def events(_: Request) -> Response:
        return await described("asyncapi")

    return (
        _plain("/health", health, Health, "Whether the process lives"),
        _plain("/ready", ready, Readiness, "Whether every engine answers and every task runs", also=(503,)),
        _plain("/metrics", metrics, None, "Figures for Prometheus", media="text/plain", right="metrics:read"),
        _plain("/openapi.json", api, dict[str, Any], "This description"),
        _plain("/asyncapi.json", events, dict[str, Any], "The events' description"),
    )


def _plain(path: str, endpoint: Callable[[Request], Awaitable[Response]], answer: Any, summary: str, **more: Any) -> Route:
    return Route(method="GET", path=path, endpoint=endpoint, answer=answer, summary=summary, urgency=Urgency.ALWAYS, **{"right": PUBLIC, **more})


def _json(body: bytes, status: int = 200) -> Response:
    return Response(status, body, [JSON])


async def _store_answers(desk: Desk) -> str:
    try:
        await desk.store.database.value("select 1")
    except Unavailable as away:
        return away.detail
    return "ok"
