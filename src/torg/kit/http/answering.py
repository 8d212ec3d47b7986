"""What becomes of a reply on its way out: a response, a problem document, a stream, 304 for whoever has it already, and what is kept of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

from torg.kit.errors import Problem
from torg.kit.http.admission import RETRY_AFTER
from torg.kit.http.cache import CONTROL, TAGS, Keeping, Kept
from torg.kit.http.request import JSON, Headers, Request, Response
from torg.kit.http.routes import Route
from torg.kit.messages import encode


async def pump(response: Response, send: Callable[[Any], Awaitable[None]]) -> None:
    assert response.stream is not None
    try:
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    finally:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def disconnected(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def document(problem: Problem, headers: Headers | None = None) -> Response:
    return Response(problem.status, encode(problem), [(b"content-type", b"application/problem+json"), *(headers or [])])


def refuse_overload(request: Request) -> Response:
    """Never a page: making one would take as long as what is refused."""
    return document(overloaded(request.id), [(b"retry-after", b"%d" % RETRY_AFTER)])


def overloaded(request_id: str) -> Problem:
    """What whoever is refused for want of time is told."""
    return Problem("Too busy just now", 503, "more is asked than can be answered: try again in a moment", "service.overloaded", instance=request_id)


def as_response(reply: Any) -> Response:
    if not isinstance(reply, Response):
        raise TypeError("an endpoint that takes Idempotency-Keys files its Response: tx.answer(response)")
    return reply


def renderer(route: Route) -> Callable[[Any], Response]:
    def render(reply: Any) -> Response:
        headers: Headers = [JSON] if reply is not None else []
        if route.location:
            headers.append((b"location", route.location(reply).encode()))
        if route.reply_headers:
            headers += [(name.lower().encode(), value.encode()) for name, value in route.reply_headers(reply)]
        return Response(route.status, encode(reply) if reply is not None else b"", headers)

    return render


def add_etag(response: Response) -> None:
    if not etag_of(response):  # some put a version into their own
        response.headers.append((b"etag", f'"{hashlib.blake2b(response.body, digest_size=8).hexdigest()}"'.encode()))
    response.headers.append((b"vary", b"accept-language"))


def etag_of(response: Response) -> bytes:
    return next((value for name, value in response.headers if name == b"etag"), b"")


def unless_unchanged(request: Request, response: Response) -> Response:
    """The answer, or 304 for a client that has it already."""
    etag = etag_of(response)
    if not etag or etag not in request.headers.get(b"if-none-match", b""):
        return response
    return Response(304, b"", [header for header in response.headers if header[0] != b"content-type"])


def agreed(response: Response, keeping: Keeping) -> Response:
    """As a gateway may keep it, which is told what it depends on."""
    if response.status == 200:
        response.headers += [(CONTROL, b"max-age=%d" % max(keeping.seconds, 1)), (TAGS, " ".join(keeping.tags).encode())]
    return response


def kept_of(response: Response, keeping: Keeping) -> Kept:
    headers = [header for header in response.headers if header[0] != b"x-request-id"]
    return Kept(response.body, headers, etag_of(response), time.monotonic() + keeping.seconds, keeping.stats)
