"""One request and its answer on a connection, as ASGI sees them: the body as it comes in, the answer's bytes as they go out (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, Protocol

from torg.kit import telemetry

FULL: Final = 1 << 18  # bytes that wait to be read before the sender is stopped
UPGRADE: Final = "torg.upgrade"
"""In a scope: the client would speak WebSocket from here on. An answer of 101 grants it; what is received and sent from then on are the bytes of both sides.
With any other answer the connection ends, so that nothing that was meant for the other protocol becomes a request."""
GRANTED: Final = 101

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

STATUS_LINES: Final = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})


class Line(Protocol):
    """The connection, as far as an exchange uses it."""

    @property
    def dated(self) -> Callable[[float], bytes] | None:
        """Gives the line that tells the time, if any is to be told."""
        ...

    @property
    def leaving(self) -> bool:
        """Whether it ends with what is under way."""
        ...

    def now(self) -> float: ...

    async def write(self, data: bytes) -> None:
        """Waits while the other side takes nothing."""
        ...

    def pause(self) -> None:
        """Reads no more, until `read_on`."""
        ...

    def read_on(self) -> None: ...

    def done(self, exchange: Exchange, keep: bool) -> None:
        """The answer is whole. `keep`: the connection may serve another request."""
        ...

    def close(self) -> None: ...


class Exchange:
    """One request and its answer."""

    def __init__(self, connection: Line, scope: dict[str, Any], keep: bool, chunks: bool) -> None:
        self._connection, self._scope, self._keep, self._may_chunk = connection, scope, keep, chunks
        self._body: deque[bytes] = deque()
        self._held, self._ended, self._lost, self._told = 0, False, False, False
        self._more: asyncio.Future[None] | None = None
        self._start: Any = None
        self._chunked, self._finished, self.answering = False, False, False
        self._behind, self._granted = bytearray(), False
        self._expected = chunks and any(name == b"expect" and value.lower() == b"100-continue" for name, value in scope["headers"])
        self.task: asyncio.Task[None]

    async def run(self, application: Asgi) -> None:
        try:
            await application(self._scope, self.receive, self.send)
        except Exception as error:  # noqa: BLE001 the server's last line: told in the log, and by the connection's end
            telemetry.log.error("a request broke its server", path=self._scope["path"], exc_info=error)
        if not self._finished:
            self._connection.close()

    # ---------------------------------------------------------------- what comes in

    def more_of_body(self, body: bytes) -> None:
        if self._finished:  # nobody will read it
            return
        self._body.append(body)
        self._held += len(body)
        if self._held >= FULL:
            self._connection.pause()
        self._wake()

    def behind(self, data: bytes) -> None:
        """Bytes behind a wish for another protocol: nobody's, unless it is granted."""
        if self._granted:
            self.more_of_body(data)
        elif not self._finished:
            self._behind += data
            if len(self._behind) >= FULL:
                self._connection.pause()

    def _grant(self) -> None:
        assert UPGRADE in self._scope, "nobody has asked for another protocol"
        self._granted, self._ended, self._told = True, self._lost, False
        self._connection.read_on()
        if self._behind:
            self.more_of_body(bytes(self._behind))
            self._behind.clear()

    def end_of_body(self, lost: bool) -> None:
        self._ended, self._lost = True, self._lost or lost
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """The body as it comes in; then the end of the connection, once that has come."""
        if self._expected and not self._body and not self._ended and not self.answering:
            self._expected = False
            await self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._body and not (self._ended and not self._told) and not self._lost:
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        if self._told or (self._lost and not (self._granted and self._body)):
            return {"type": "http.disconnect"}
        body = self._body.popleft() if self._body else b""
        self._held -= len(body)
        if self._held < FULL:
            self._connection.read_on()
        self._told = self._ended and not self._body
        return {"type": "http.request", "body": body, "more_body": not self._told}

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    # ---------------------------------------------------------------- what goes out

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            if message["status"] == GRANTED:
                self._grant()
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self._start = self._start, None
        self.answering = True
        data = self._head(start, body, more) if start is not None else b""
        if self._bodiless(start):
            body = b""
        data += b"%x\r\n%b\r\n" % (len(body), body) if self._chunked and body else body
        if not more and self._chunked:
            data += b"0\r\n\r\n"
        if data and not self._lost:
            await self._connection.write(data)
        if not more and not self._finished:
            self._finished = True
            self._connection.done(self, self._keep)

    def _head(self, start: dict[str, Any], body: bytes, more: bool) -> bytes:
        status, headers = start["status"], start["headers"]
        lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, *(b"%b: %b\r\n" % header for header in headers)]
        named = {name for name, _ in headers}
        if self._connection.dated is not None and b"date" not in named:
            lines.append(self._connection.dated(self._connection.now()))
        if b"content-length" not in named and status not in _BODILESS and status != GRANTED:
            if not more:
                lines.append(b"content-length: %d\r\n" % len(body))
            elif self._may_chunk:
                self._chunked = self._scope["method"] != "HEAD"
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self._keep = False  # a body whose end only the connection's end can tell
        if self._connection.leaving or (b"connection", b"close") in headers:
            self._keep = False
        if not self._keep and b"connection" not in named:
            lines.append(b"connection: close\r\n")
        self._status = status
        return b"".join((*lines, b"\r\n"))

    def _bodiless(self, start: dict[str, Any] | None) -> bool:
        return self._scope["method"] == "HEAD" or (start["status"] if start else self._status) in _BODILESS
