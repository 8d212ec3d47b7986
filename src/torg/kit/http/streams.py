"""Server-Sent Events (HTML Living Standard, section 9.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from torg.kit.http.request import Response

HEARTBEAT = 15.0  # seconds between comments on a quiet stream, so that proxies keep it and dead clients show


@dataclass(frozen=True)
class ServerEvent:
    """One event: its name, its JSON data, and the id that a client resumes behind."""

    event: str
    data: bytes
    id: str = ""

    def encode(self) -> bytes:
        lines = [f"id: {self.id}".encode()] if self.id else []
        return b"\n".join([*lines, f"event: {self.event}".encode(), b"data: " + self.data]) + b"\n\n"


def event_stream(events: AsyncIterator[ServerEvent]) -> Response:
    """An endless answer of events, with heartbeats while nothing happens."""
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    return Response(200, b"", headers, _with_heartbeats(events))


async def _with_heartbeats(events: AsyncIterator[ServerEvent]) -> AsyncIterator[bytes]:
    yield b": welcome\n\n"
    upcoming: asyncio.Task[ServerEvent] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            done, _ = await asyncio.wait({upcoming}, timeout=HEARTBEAT)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return
            upcoming = None
            yield event.encode()
    finally:
        if upcoming is not None:
            upcoming.cancel()
