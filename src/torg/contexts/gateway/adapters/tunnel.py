"""A WebSocket connection through the gateway: the bytes of both sides, each no faster than the other takes them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Literal

from prometheus_client import Counter

from torg.contexts.gateway.adapters.incoming import Receive, Send
from torg.contexts.gateway.model.websocket import BYE, MASKED_BYE, Frames
from torg.kit.rpc.http import Broken, Connection

CARRIED: Final = Counter("torg_gateway_upgraded_bytes_total", "Bytes of WebSocket connections, by whom they were for", ("service", "to"))
PARTING: Final = 2.0  # seconds that either side has to take what was said last
End = Literal["client", "service", "quiet", "closing"]
"""Who ended it: one of the two, their silence, or the gateway that closes."""


class Tunnel:
    """`quiet`: seconds in which neither side says anything, after which it ends."""

    def __init__(self, service: str, connection: Connection, receive: Receive, send: Send, quiet: float) -> None:
        self._connection, self._receive, self._send, self._quiet = connection, receive, send, quiet
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[End] = self._loop.create_future()
        self._said = self._loop.time()
        self._up, self._down = Frames(), Frames()
        self._carried_up, self._carried_down = CARRIED.labels(service, "service"), CARRIED.labels(service, "client")

    async def run(self) -> End:
        """Until one of them ends it, both are silent for too long, or it is told to `end`."""
        pumps = [self._loop.create_task(self._hear_client()), self._loop.create_task(self._hear_service())]
        self._timer = self._loop.call_later(self._quiet, self._look)
        try:
            end = await self._over
        finally:
            self._timer.cancel()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        await self._part(end)
        return end

    def end(self, end: End) -> None:
        if not self._over.done():
            self._over.set_result(end)

    def _look(self) -> None:
        silent = self._loop.time() - self._said
        if silent >= self._quiet:
            self.end("quiet")
        else:
            self._timer = self._loop.call_later(self._quiet - silent, self._look)

    async def _hear_client(self) -> None:
        try:
            while (message := await self._receive())["type"] == "http.request":
                body: bytes = message["body"]
                self._said = self._loop.time()
                self._carried_up.inc(len(body))
                self._up.add(body)
                await self._connection.write(body)
            self.end("client")
        except Broken:
            return  # what the service has said before it went is still to be told

    async def _hear_service(self) -> None:
        try:
            async for chunk in self._connection.chunks():
                self._said = self._loop.time()
                self._carried_down.inc(len(chunk))
                self._down.add(chunk)
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Broken:
            pass
        self.end("service")

    async def _part(self, end: End) -> None:
        """Where it is the gateway that ends it, both are told so, unless one is in the middle of a frame."""
        ours = end in ("quiet", "closing")
        with suppress(TimeoutError, Broken):  # whoever takes nothing more is not waited for
            async with asyncio.timeout(PARTING):
                await self._send({"type": "http.response.body", "body": BYE if ours and self._down.between else b"", "more_body": False})
                if ours and self._up.between:
                    await self._connection.write(MASKED_BYE)
