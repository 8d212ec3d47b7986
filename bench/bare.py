"""The yardstick: a raw ASGI application on the same server with the same options as torg.serve, which answers with bytes it was given.

python -m bench.bare PORT FILE: the file maps each path, query included, to a status, headers and a body in base64."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from torg.kit.rpc.serving import Serving
from torg.kit.values import utc_now

OWN = frozenset({"server", "date", "content-length"})  # the server adds these itself


class Page(msgspec.Struct):
    """An answer to give again and again."""

    status: int
    headers: list[tuple[str, str]]
    body: str


def page(head: bytes, body: bytes) -> Page:
    """A real answer as a page."""
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines) if name.lower() not in OWN]
    return Page(int(first.split()[1]), headers, base64.b64encode(body).decode())


def application(pages: dict[str, Page]) -> Callable[[Any, Any, Any], Awaitable[None]]:
    ready = {
        path: (
            {"type": "http.response.start", "status": page.status, "headers": [(name.encode(), value.encode()) for name, value in page.headers]},
            {"type": "http.response.body", "body": base64.b64decode(page.body)},
        )
        for path, page in pages.items()
    }

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"]
        start, body = ready[f"{scope['path']}?{query.decode()}" if query else scope["path"]]
        await send(start)
        await send(body)

    return answer


async def _serve(port: int, pages: dict[str, Page]) -> None:
    await Serving(application(pages), "127.0.0.1", port, clock=utc_now).start()
    print(f"Torg is ready at http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=dict[str, Page])))
