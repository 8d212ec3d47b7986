"""The HTTP/1.1 server at which a process answers its fleet and the outside world (RFC 9112): ASGI on this loop alone, llhttp for a parser.

What can be read in two ways is not read at all (request smuggling); nobody may hold on to a connection by being slow, or to all of them by having many."""

from __future__ import annotations

import asyncio
import math
import os
import socket as sockets
from collections import deque
from contextlib import suppress
from email.utils import format_datetime
from typing import Any, Final, cast

import httptools
from prometheus_client import Counter

from torg.kit.http.guards import DOCUMENT
from torg.kit.rpc.bounds import Bounds, Crowd
from torg.kit.rpc.entry import Entry
from torg.kit.rpc.exchange import STATUS_LINES, UPGRADE, Asgi, Exchange
from torg.kit.rpc.paths import unquote
from torg.kit.rpc.tls import Tls
from torg.kit.values import Clock

BACKLOG: Final = 1024
UNREAD: Final = 30.0  # seconds in which somebody has to take some of an answer that waits for them
LINGERS: Final = 5.0  # seconds for which the rest of a body is listened to that was answered before its end
WAITING: Final = 16  # requests on one connection that come before the one before them is answered

SOON: Final = b"retry-after: 1\r\n"
GUARDS: Final = b"".join(b"%b: %b\r\n" % header for header in DOCUMENT)

Headers = list[tuple[bytes, bytes]]

_VERSIONS: Final = frozenset({"1.0", "1.1"})
REFUSED: Final = Counter("torg_http_hung_up_total", "Connections that were ended for what their clients did, or had not done in time", ("reason",))
"""malformed, head, body: too large; slow head, slow body, unread: too slow; many: more than one may have, or there may be."""


class Serving:
    """Serves an application at an address, from `start` until `stop`. `socket` is the descriptor of a listening socket to be taken instead of host and port;
    `bounds` is what one client may take; `crowd`: who may have a connection (None: everybody); with a `clock` answers tell their date; with
    `tls` its own fleet alone is let in."""

    def __init__(
        self, application: Asgi, host: str, port: int, socket: int | None = None, bounds: Bounds | None = None, crowd: Crowd | None = None,
        clock: Clock | None = None, tls: Tls | None = None,
    ) -> None:  # fmt: skip
        self._application, self._host, self._port, self._socket = application, host, port, socket
        self._bounds, self._crowd, self._dated = bounds or Bounds(), crowd, _Dated(clock) if clock else None
        self._tls = tls
        self._server: asyncio.Server | Entry | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Raises OSError where it cannot listen."""
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._server = Entry(self._connection, self._tls, self._host, self._port, BACKLOG)
        elif self._socket is not None:
            listening = sockets.socket(fileno=os.dup(self._socket))
            self._server = await loop.create_server(self._connection, sock=listening, backlog=BACKLOG)
        else:
            self._server = await loop.create_server(self._connection, self._host, self._port, backlog=BACKLOG)

    def _connection(self) -> _Connection:
        return _Connection(self._application, self._connections, self._bounds, self._crowd, self._dated)

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


class _Refused(Exception):
    """What came can't be, or must not be, read: answered by `status`."""


class _Connection(asyncio.Protocol):
    """One client's connection; its requests are answered one after the other."""

    def __init__(self, application: Asgi, all_connections: set[_Connection], bounds: Bounds, crowd: Crowd | None, dated: _Dated | None) -> None:
        self.dated = dated
        self._application, self._all, self._bounds, self._crowd = application, all_connections, bounds, crowd
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._reading: Exchange | None = None
        self._wishing: Exchange | None = None
        self._headers: Headers = []
        self._target, self._head, self._size, self._body = b"", 0, 0, 0
        self._fault: tuple[int, str] | None = None
        self._leaving, self._paused, self._last = False, False, False
        self._room: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._in_head, self._lately = False, 0
        self._until = math.inf
        self.gone: asyncio.Future[None]

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class
        self._loop = asyncio.get_running_loop()
        self.gone = self._loop.create_future()
        self.client = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._all.add(self)
        if self._crowd is not None and not self._crowd.enter(self.client[0]):
            self._crowd = None  # there is nothing to leave
            self._refuse(503, "many")
        else:
            self._listen(self._bounds.idle_seconds)
            self._silence = self._loop.call_later(self._bounds.idle_seconds, self._look_whether_silent)

    def connection_lost(self, _: Exception | None) -> None:
        self._all.discard(self)
        if self._crowd is not None:
            self._crowd.leave(self.client[0])
        self._rest()
        if self._silence is not None:
            self._silence.cancel()
        self.resume_writing()
        for exchange in (self._current, self._reading, *self._waiting):
            if exchange is not None:
                exchange.end_of_body(lost=True)
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._wishing is not None:
            self._wishing.behind(data)
            return
        self._head += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(*(self._fault or (400, "malformed")))
            return
        if self._reading is not None:
            self._watch_body()
        elif self._head > self._bounds.head_bytes:
            self._refuse(431, "head")
        elif self._head:
            self._watch_head()
        elif self._current is None and not self._waiting:
            self._listen(self._bounds.idle_seconds)

    def _feed(self, data: bytes) -> None:
        """A wish to change the protocol is not granted, unless it is for WebSocket, and the request answered as it is (RFC 9110, section 7.8)."""
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as wish:
                data = data[wish.args[0] :]
                if self._wishing is not None:
                    self._wishing.behind(data)
                    break
                self._parser = httptools.HttpRequestParser(self)
            else:
                break

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()
        self._unread = self._loop.call_later(UNREAD, self._give_up, "unread")

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            self._unread.cancel()
            if not room.done():
                room.set_result(None)

    # ---------------------------------------------------------------- the parser's side

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading is not None:  # a trailer: nobody here wants any, and it must not become the next request's
            return
        self._headers.append((name.lower(), value))
        self._size += len(name) + len(value) + 4
        if self._size > self._bounds.head_bytes or len(self._headers) > self._bounds.head_count:
            self._fault = 431, "head"
            raise _Refused

    def on_headers_complete(self) -> None:
        if fault := self._unreadable():
            self._fault = fault
            raise _Refused
        scope, modern = self._scope(), self._parser.get_http_version() == "1.1"
        wishes = modern and self._parser.should_upgrade() and [value.lower() for name, value in self._headers if name == b"upgrade"] == [b"websocket"]
        self._reading = Exchange(self, scope, self._parser.should_keep_alive() and not wishes, modern)
        if wishes:
            self._wishing, scope[UPGRADE] = self._reading, True
        self._headers, self._target, self._head, self._size, self._body = [], b"", 0, 0, 0
        self._rest()
        if self._current is None:
            self._begin(self._reading)
        else:
            self._waiting.append(self._reading)
            if len(self._waiting) > WAITING:
                self._fault = 400, "malformed"
                raise _Refused

    def _unreadable(self) -> tuple[int, str] | None:
        """What others on the way may have read differently (RFC 9112, sections 3.2, 6.1 and 11.2); llhttp has refused the rest of it."""
        version, upgrade, hosts, coding, length = self._parser.get_http_version(), False, 0, b"", b""
        for name, value in self._headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                coding += b"," + value.lower() if coding else value.lower()
            elif name == b"content-length":
                length = value
            elif name == b"upgrade":
                upgrade = True
        if version not in _VERSIONS or hosts > 1 or (hosts == 0 and version == "1.1") or not self._target.startswith((b"/", b"*", b"http://", b"https://")):
            return 400, "malformed"
        if coding and (coding != b"chunked" or version == "1.0" or length):
            return 400, "malformed"
        if upgrade and (coding or length not in (b"", b"0")):  # llhttp takes what follows for the other protocol's
            return 400, "malformed"
        return (413, "body") if length and int(length) > self._bounds.body_bytes else None

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > self._bounds.body_bytes:
            self._fault = 413, "body"
            raise _Refused
        if self._reading is not None:
            self._reading.more_of_body(body)

    def on_message_complete(self) -> None:
        reading, self._reading = self._reading, None
        self._head = 0
        self._rest()
        if reading is not None:
            reading.end_of_body(lost=False)
        if self._last:
            self.close()

    def _scope(self) -> dict[str, Any]:
        target = self._target
        if target[:1] not in b"/*":  # the absolute form, as it is said to proxies: its host counts (RFC 9112, section 3.2.2)
            host, slash, rest = target.partition(b"://")[2].partition(b"/")
            target = slash + rest or b"/"
            self._headers = [(name, host if name == b"host" else value) for name, value in self._headers]
        raw, _, query = target.partition(b"?")
        return {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": self._parser.get_http_version(), "method": self._parser.get_method().decode("ascii"),
            "scheme": "http", "path": unquote(raw), "raw_path": raw, "query_string": query, "headers": self._headers, "client": self.client,
        }  # fmt: skip

    # ---------------------------------------------------------------- patience

    def _rest(self) -> None:
        """Nothing is waited for now."""
        self._in_head, self._until = False, math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _listen(self, seconds: float) -> None:
        """One timer for the whole connection looks now and then: one for each silence would be made and given up with each request."""
        self._rest()
        self._until = self._loop.time() + seconds
        if seconds < self._bounds.idle_seconds:
            self._loop.call_later(seconds, self._hang_up)

    def _look_whether_silent(self) -> None:
        self._hang_up()
        now = self._loop.time()
        self._silence = self._loop.call_at(self._until if now < self._until < math.inf else now + self._bounds.idle_seconds, self._look_whether_silent)

    def _hang_up(self) -> None:
        if self._current is None and self._loop.time() >= self._until - 0.01:  # clocks of loops are that coarse
            self.close()

    def _watch_head(self) -> None:
        """From a head's first piece on."""
        if not self._in_head:
            self._rest()
            self._in_head = True
            self._timer = self._loop.call_later(self._bounds.head_seconds, self._give_up, "slow head")

    def _watch_body(self) -> None:
        if self._timer is None:
            self._lately = self._body
            self._timer = self._loop.call_later(self._bounds.body_seconds, self._look_at_body)

    def _look_at_body(self) -> None:
        """Whether enough has come since the last look, unless it is us who would not take more."""
        self._timer = None
        if self._body - self._lately < max(1, self._bounds.body_rate * self._bounds.body_seconds) and not self._paused:
            self._give_up("slow body")
        elif self._reading is not None:
            self._watch_body()

    def _give_up(self, reason: str) -> None:
        if reason == "unread":
            REFUSED.labels(reason).inc()
            self.close(at_once=True)
        else:
            self._refuse(408, reason)

    # ---------------------------------------------------------------- answering

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        exchange.task = self._loop.create_task(exchange.run(self._application))

    def done(self, exchange: Exchange, keep: bool) -> None:
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
            if not self._in_head:
                self._listen(self._bounds.idle_seconds)

    async def write(self, data: bytes) -> None:
        self.transport.write(data)
        if self._room is not None:
            await asyncio.shield(self._room)

    def now(self) -> float:
        return self._loop.time()

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

    def _refuse(self, status: int, reason: str) -> None:
        REFUSED.labels(reason).inc()
        if self._current is None or (self._current is self._reading and not self._current.answering):  # else it would be taken for another one's answer
            date = self.dated(self.now()) if self.dated is not None else b""
            said = STATUS_LINES[status] + (SOON if status == 503 else b"") + date + GUARDS
            self.transport.write(said + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.close()


class _Dated:
    """The line that tells the time (RFC 9110, section 6.6.1), put into words once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._line, self._until = clock, b"", 0.0

    def __call__(self, now: float) -> bytes:
        if now >= self._until:
            self._line, self._until = f"date: {format_datetime(self._clock(), usegmt=True)}\r\n".encode(), now + 1
        return self._line
