"""Serves an ASGI application on a free port of this machine, for tests that need a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, Callable[[Asgi], None]]]:
    """The address, and a function that says what is to answer there (so that the application can know its own address)."""
    answering: list[Asgi] = []

    async def answer(request: web.Request) -> web.Response:
        return await _ask(answering[-1], request)

    site = web.Application()
    site.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", answering.append
    finally:
        await runner.cleanup()


async def _ask(app: Asgi, request: web.Request) -> web.Response:
    body, sent = await request.read(), list[dict[str, Any]]()
    scope = {
        "type": "http", "method": request.method, "path": request.path, "query_string": request.query_string.encode(), "scheme": "http",
        "client": ("127.0.0.1", 1), "headers": [(name.lower(), value) for name, value in request.raw_headers],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return web.Response(status=sent[0]["status"], headers=headers, body=b"".join(message["body"] for message in sent[1:]))
