"""The HTTP/1.1 server at which a context's process answers its fleet (RFC 9112): ASGI on this loop alone, llhttp for a parser.

Beside granian, whose threads make each request of a loop that has nothing else to do cost twice as much; the outside world is answered by that one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import unquote_to_bytes

import httptools

from torg.kit import telemetry

LARGEST_HEAD: Final = 1 << 16  # bytes of a request's line and headers
FULL: Final = 1 << 18  # bytes that wait to be read before the sender is stopped
SILENT: Final = 75.0  # seconds that a connection may say nothing while nothing is asked: longer than clients keep theirs
LINGERS: Final = 5.0  # seconds for which the rest of a body is listened to that was answered before its end
WAITING: Final = 16  # requests on one connection that come before the one before them is answered

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_LINES: Final = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
_BODILESS: Final = frozenset({204, 304})


class Serving:
    """Serves an application at an address, from `start` until `stop`."""

    def __init__(self, application: Asgi, host: str, port: int) -> None:
        self._application, self._host, self._port = application, host, port
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Raises OSError where it cannot listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self._application, self._connections), self._host, self._port, backlog=1024)

    async def stop(self, seconds: float) -> bool:
        """Takes no more connections, lets requests under way come to their end, and closes the rest; False when some were cut off."""
        assert self._server is not None, "what has not started cannot stop"
        self._server.close()
        for connection in tuple(self._connections):
            connection.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._connections:
                    await asyncio.wait([connection.gone for connection in self._connections], return_when=asyncio.FIRST_COMPLETED)
        cut_off = tuple(self._connections)
        for connection in cut_off:
            connection.close(at_once=True)
        await asyncio.gather(*(connection.gone for connection in cut_off))
        return not cut_off


class _Connection(asyncio.Protocol):
    """One client's connection; its requests are answered one after the other."""

    def __init__(self, application: Asgi, all_connections: set[_Connection]) -> None:
        self._application, self._all = application, all_connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[_Exchange] = deque()
        self._current: _Exchange | None = None
        self._reading: _Exchange | None = None
        self._headers: Headers = []
        self._target, self._head = b"", 0
        self._leaving, self._paused, self._last = False, False, False
        self._room: asyncio.Future[None] | None = None
        self.gone: asyncio.Future[None]

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._loop = asyncio.get_running_loop()
        self.gone = self._loop.create_future()
        self.client = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._all.add(self)
        self._silence = self._loop.call_later(SILENT, self._hang_up)

    def connection_lost(self, _: Exception | None) -> None:
        self._all.discard(self)
        self._silence.cancel()
        self.resume_writing()
        for exchange in (self._current, self._reading, *self._waiting):
            if exchange is not None:
                exchange.end_of_body(lost=True)
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._silence.cancel()
        self._head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(400)
            return
        if self._reading is None and self._head > LARGEST_HEAD:
            self._refuse(431)
        elif self._current is None and not self._waiting:
            self._listen()

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # ---------------------------------------------------------------- the parser's side

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._reading = _Exchange(self, self._scope(), self._parser.should_keep_alive(), self._parser.get_http_version() == "1.1")
        self._headers, self._target, self._head = [], b"", 0
        if self._current is None:
            self._begin(self._reading)
        else:
            self._waiting.append(self._reading)
            if len(self._waiting) > WAITING:
                self._refuse(400)

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._reading.more_of_body(body)

    def on_message_complete(self) -> None:
        reading, self._reading = self._reading, None
        self._head = 0
        if reading is not None:
            reading.end_of_body(lost=False)
        if self._last:
            self.close()

    def _scope(self) -> dict[str, Any]:
        raw, _, query = self._target.partition(b"?")
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": self._parser.get_http_version(), "method": self._parser.get_method().decode("ascii"),
            "scheme": "http", "path": unquote(raw), "raw_path": raw, "query_string": query, "headers": self._headers, "client": self.client,
        }  # fmt: skip

    # ---------------------------------------------------------------- answering

    def _begin(self, exchange: _Exchange) -> None:
        self._current = exchange
        exchange.task = self._loop.create_task(exchange.run(self._application))

    def done(self, exchange: _Exchange, keep: bool) -> None:
        """The answer was sent whole; the next request has its turn."""
        self._current = None
        if exchange is self._reading:  # most clients look at an answer only once they have said everything
            self._last = self._leaving or not keep
            self.read_on()
            self._listen(LINGERS)
        elif not keep or self._leaving:
            self.close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self.read_on()
            self._listen()

    async def write(self, data: bytes) -> None:
        self.transport.write(data)
        if self._room is not None:
            await asyncio.shield(self._room)

    @property
    def leaving(self) -> bool:
        return self._leaving

    def leave(self) -> None:
        """Closes now, or after the answer that is under way."""
        self._leaving = True
        if self._current is None and self._reading is None:
            self.close()

    def close(self, at_once: bool = False) -> None:
        self.transport.abort() if at_once else self.transport.close()

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def read_on(self) -> None:
        if self._paused and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _listen(self, seconds: float = SILENT) -> None:
        self._silence.cancel()
        self._silence = self._loop.call_later(seconds, self._hang_up)

    def _hang_up(self) -> None:
        if self._current is None:
            self.close()

    def _refuse(self, status: int) -> None:
        if self._current is None:
            self.transport.write(_LINES[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.close()


class _Exchange:
    """One request and its answer."""

    def __init__(self, connection: _Connection, scope: dict[str, Any], keep: bool, chunks: bool) -> None:
        self._connection, self._scope, self._keep, self._may_chunk = connection, scope, keep, chunks
        self._body: deque[bytes] = deque()
        self._held, self._ended, self._lost, self._told = 0, False, False, False
        self._more: asyncio.Future[None] | None = None
        self._start: Any = None
        self._chunked, self._finished = False, False
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

    def end_of_body(self, lost: bool) -> None:
        self._ended, self._lost = True, self._lost or lost
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """The body as it comes in; then the end of the connection, once that has come."""
        while not self._body and not (self._ended and not self._told) and not self._lost:
            self._more = asyncio.get_running_loop().create_future()
            await self._more
        if self._lost or self._told:
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
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self._start = self._start, None
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
        lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, *(b"%b: %b\r\n" % header for header in headers)]
        named = {name for name, _ in headers}
        if b"content-length" not in named and status not in _BODILESS:
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


def unquote(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace") if b"%" in raw else raw.decode("utf-8", "replace")
