"""A small HTTP/1.1 client (RFC 9112): connections are kept, answers come whole or piece by piece. Costs a quarter of what aiohttp's costs a call."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

import httptools

from torg.kit.rpc.tls import Tls, told

IDLE: Final = 10.0  # seconds that a connection is kept without use: less than servers keep theirs
KEPT: Final = 64  # idle connections to one address
FULL: Final = 1 << 18  # bytes that wait to be read before the sender is stopped
CONNECT: Final = 2.0  # seconds
GRANTED: Final = 101  # the status of an answer with which another protocol begins

Headers = list[tuple[bytes, bytes]]


class Unreachable(Exception):
    """Nobody answers at the address: nothing was sent, so that asking again is safe whatever was to be said."""


class Broken(Exception):
    """The connection ended before the answer did: whether anything came of the request nobody knows."""


@dataclass(slots=True)
class Answer:
    """An answer's head; names in lower case. Its body is in `body`, or comes from `chunks` of the connection."""

    status: int
    headers: Headers
    body: bytes = b""

    def header(self, name: bytes) -> bytes:
        """A header's value, empty when absent."""
        return next((value for key, value in self.headers if key == name), b"")


class Connection(asyncio.Protocol):
    """One connection; one request at a time. `service`: who is there; `version`: of the keys by which that is known."""

    def __init__(self, address: str, service: str = "", version: int = 0) -> None:
        self.address, self.service, self.version, self.since, self.lost = address, service, version, 0.0, False
        self.spoilt, self._paused, self._upgrade, self._granted = False, False, False, False
        """Not all of the request was sent: what comes next would be taken for the rest of it."""
        self._transport: asyncio.Transport
        self._why = ""
        self._headers: Headers = []
        self._chunks: deque[bytes] = deque()
        self._held, self._status, self._ended, self._keep, self._whole = 0, 0, True, True, False
        self._head: asyncio.Future[None] | None = None
        self._more: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # ---------------------------------------------------------------- asking

    def send(self, data: bytes, upgrade: bool = False) -> None:
        """Begins a request: its head, and as much of the body as there is. `upgrade`: it asks for another protocol; an answer of 101 grants that, and what is
        written and what comes in `chunks` are the bytes of both sides from then on."""
        self._upgrade, self._granted = upgrade, False
        self._headers, self._status, self._ended, self._keep, self._held, self._whole = [], 0, False, True, 0, False
        self._chunks.clear()
        self._read_on()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(data)

    async def write(self, data: bytes) -> None:
        """More of the body; waits while the other side takes no more."""
        if self.lost:
            raise Broken(f"{self.address} ended the connection")
        self._transport.write(data)
        if self._room is not None:
            await asyncio.shield(self._room)

    @property
    def ended(self) -> bool:
        """Whether all of the answer is here."""
        return self._ended

    async def head(self) -> Answer:
        """The answer's status and headers. Raises Broken."""
        if not self._status:
            self._refuse_lost()
            self._head = asyncio.get_running_loop().create_future()
            await self._head
        return Answer(self._status, self._headers)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes in. Raises Broken when it ends before its end."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                if self._held < FULL:
                    self._read_on()
                yield chunk
            if self._ended:
                return
            await self._grown()

    async def whole(self) -> Answer:
        """The answer with all of its body. Raises Broken."""
        self._read_on()
        while not self._ended:
            await self._grown(whole=True)
        return Answer(self._status, self._headers, b"".join(self._chunks))

    @property
    def reusable(self) -> bool:
        return self._ended and self._keep and not self.lost and not self.spoilt

    def close(self) -> None:
        self.lost = True
        self._transport.close()

    async def _grown(self, whole: bool = False) -> None:
        self._refuse_lost()
        self._whole = whole
        self._more = asyncio.get_running_loop().create_future()
        await self._more

    def _read_on(self) -> None:
        if self._paused and not self.lost:
            self._paused = False
            self._transport.resume_reading()

    def _refuse_lost(self) -> None:
        if self.lost:
            raise Broken(f"{self.address} ended the connection before its answer{self._why}")

    # ---------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        if self._granted:
            self.on_body(data)
            return
        try:
            if not self._ended:  # else it answers what nobody asked
                self._parser.feed_data(data)
                return
        except httptools.HttpParserUpgrade as granted:
            if self._upgrade:
                self._granted = True
                if rest := data[granted.args[0] :]:
                    self.on_body(rest)
                return
        except httptools.HttpParserError:  # this is no HTTP
            pass
        self.close()
        self._fail()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.service and not self.since:  # nobody says so to whom he does not know
            self._why = ", its first one: maybe it believes none of the keys of who asks (TORG_IDENTITIES); its log says so"
        if self._status and not self._ended and not self._framed():
            self.on_message_complete()  # a body without a length ends with its connection
        self._fail()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    def _framed(self) -> bool:
        return any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def _fail(self) -> None:
        self.resume_writing()
        for waiting in (self._head, self._more):
            if waiting is not None and not waiting.done():
                waiting.set_exception(Broken(f"{self.address} ended the connection before its answer{self._why}"))

    # ---------------------------------------------------------------- the parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 and not (self._upgrade and status == GRANTED):  # an interim answer: the real one follows
            return
        self._status = status
        if self._head is not None and not self._head.done():
            self._head.set_result(None)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        if not self._whole:
            self._held += len(body)
            if self._held >= FULL and not self._paused:
                self._paused = True
                self._transport.pause_reading()
            self._wake()

    def on_message_complete(self) -> None:
        if not self._status:
            self._headers = []
            return
        if self._status == GRANTED and not self.lost:
            return
        self._ended, self._keep = True, self._parser.should_keep_alive()
        self._wake()

    def _wake(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)


class Connections:
    """Connections to any number of addresses ("host:port"); those not in use are kept for the next request. With `tls` each is to the service that is named."""

    def __init__(self, tls: Tls | None = None) -> None:
        self._tls = tls
        self._idle: dict[tuple[str, str], list[Connection]] = {}
        self._open: set[Connection] = set()

    async def take(self, address: str, service: str = "") -> Connection:
        """One that nobody uses. Raises Unreachable."""
        service = service if self._tls else ""
        idle, version = self._idle.get((address, service)), self._tls.version if self._tls else 0
        while idle:
            connection = idle.pop()
            if not connection.lost and connection.version == version and time.monotonic() - connection.since < IDLE:
                return connection
            self._drop(connection)
        try:
            async with asyncio.timeout(CONNECT):
                connection = await self._connect(address, service, version)
        except (OSError, TimeoutError, ValueError) as error:
            reason = told(error, service) if self._tls and not isinstance(error, TimeoutError) else str(error) or "it does not answer"
            raise Unreachable(f"{address} cannot be reached: {reason}") from error
        self._open.add(connection)
        return connection

    async def _connect(self, address: str, service: str, version: int) -> Connection:
        host, _, port = address.rpartition(":")
        loop, made = asyncio.get_running_loop(), lambda: Connection(address, service, version)
        if self._tls is None:
            return (await loop.create_connection(made, host.strip("[]"), int(port)))[1]
        try:
            context = self._tls.to(service)
            return (await loop.create_connection(made, host.strip("[]"), int(port), ssl=context, server_hostname=service))[1]
        except ssl.SSLCertVerificationError:
            if not self._tls.look():  # else it may have another key since
                raise
            return await self._connect(address, service, self._tls.version)

    def give_back(self, connection: Connection) -> None:
        """Its request is over; one that is still in the middle of it is closed."""
        idle = self._idle.setdefault((connection.address, connection.service), [])
        if connection.reusable and len(idle) < KEPT:
            connection.since = time.monotonic()
            idle.append(connection)
        else:
            self._drop(connection)

    async def ask(self, address: str, request: bytes, service: str = "") -> Answer:
        """Sends a whole request and waits for the whole answer. Raises Unreachable or Broken."""
        connection = await self.take(address, service)
        try:
            connection.send(request)
            return await connection.whole()
        finally:
            self.give_back(connection)

    async def close(self) -> None:
        self._idle.clear()
        for connection in tuple(self._open):
            self._drop(connection)
        await asyncio.sleep(0)  # transports close at the loop's next turn

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()
