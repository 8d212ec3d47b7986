"""Hands requests on to the processes of contexts, and their answers back, piece by piece as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import cache
from typing import Any, Final

from prometheus_client import Histogram

from torg.contexts.gateway.model import URGENCY, leaf_of, tree
from torg.kit import telemetry
from torg.kit.errors import Problem, Unavailable
from torg.kit.http.admission import RETRY_AFTER, Admission
from torg.kit.http.app import SECURITY, overloaded
from torg.kit.messages import Meta, encode
from torg.kit.rpc.balance import Instance
from torg.kit.rpc.client import Budget
from torg.kit.rpc.door import FORWARDED, HANDED_ON, PROTO, REQUEST, handed_on, target_of
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.http import Answer, Broken, Connection, Headers, Unreachable
from torg.kit.telemetry import BUCKETS
from torg.kit.values import NewId

FOUND: Final = 15.0  # seconds that a request waits for a context that is being restarted
ANSWERED: Final = 60.0  # seconds that a context may take to begin its answer, once it has the whole request
SLOW: Final = 2.0  # seconds
QUIET: Final = 60.0  # seconds between two pieces of an answer; streams of events send a heartbeat every fifteen
REFUSED: Final = 400
LISTENED: Final = 5.0  # seconds that the rest of a body is listened to once it is refused
TRIES: Final = 3
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TRACE, STREAM = b"traceparent", b"text/event-stream"
HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Said of one connection and not of what comes through it (RFC 9110, section 7.6.1)."""
REPLACED: Final = frozenset({FORWARDED, PROTO, REQUEST, HANDED_ON, TRACE, b"expect"})
HANDED = Histogram("torg_gateway_seconds", "Time from a request's arrival to the end of its answer", ("context", "status"), buckets=BUCKETS)

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Proxy:
    """Reaches contexts of other processes; where this one has more to do than it can, the more urgent requests go through its `door` first. `slow`: seconds
    without an answer after which a process is asked whether it lives at all."""

    def __init__(self, fleet: Fleet, new_id: NewId, door: Admission | None = None, slow: float = SLOW) -> None:
        self._fleet, self._new_id, self._door, self._slow = fleet, new_id, door, slow
        self._urgencies = tree(URGENCY)
        self._streams: set[asyncio.Task[None]] = set()
        self._budgets: dict[str, Budget] = {}

    async def close(self) -> None:
        """Ends answers that have no end of their own; clients take up streams elsewhere, by Last-Event-ID."""
        for stream in self._streams:
            stream.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    async def __call__(self, context: str, scope: Any, receive: Receive, send: Send) -> None:
        began, request = time.perf_counter(), _Request(scope, receive, self._new_id())
        with telemetry.span("http", f"gateway to {context}", Meta(request=request.id, trace=request.trace)):
            request.trace = telemetry.traceparent() or request.trace
            status = await self._in_turn(context, request, send)
        _observed(context, status)(time.perf_counter() - began)

    async def _in_turn(self, context: str, request: _Request, send: Send) -> int:
        if self._door is None:
            return await self._hand_on(context, request, send)
        urgency = leaf_of(request.path, self._urgencies)
        if not self._door.begins(urgency) and not await self._door.admits(urgency):
            return await _refuse(send, request, overloaded(request.id), RETRY_AFTER)
        request.answered = self._door.end
        try:
            return await self._hand_on(context, request, send)
        finally:
            request.leave()

    async def _hand_on(self, context: str, request: _Request, send: Send) -> int:
        tried: list[str] = []
        budget = self._budgets.get(context) or self._budgets.setdefault(context, Budget())
        budget.earn()
        await request.begin()
        while True:
            try:
                instance = await self._fleet.remote.find(context, time.monotonic() + FOUND, tried)
            except Unavailable as away:
                return await _refuse(send, request, _away(request, away.detail))
            tried.append(instance.address)
            instance.load += 1
            try:
                connection, answer = await self._ask(instance, request)
            except (Unreachable, Broken, TimeoutError) as error:
                instance.failed()
                again = isinstance(error, Unreachable) or (request.repeatable and isinstance(error, Broken) and budget.spend())
                if not again or len(tried) >= TRIES:
                    telemetry.log.warning("a request could not be handed on", context=context, path=request.path, request_id=request.id, error=str(error))
                    return await _refuse(send, request, _away(request, f"{context} does not answer now"))
                continue
            except asyncio.CancelledError:
                instance.breaker.gave_up()
                raise
            finally:
                instance.load -= 1
            instance.succeeded()
            request.leave()  # what is left to do is little, and may go on for hours
            return await self._pass_on(connection, answer, request, send)

    async def _ask(self, instance: Instance, request: _Request) -> tuple[Connection, Answer]:
        connection = await self._fleet.connections.take(instance.address)
        try:
            connection.send(request.head(self._fleet) + request.first)
            if request.more:
                return connection, await self._converse(connection, request)
            return connection, await self._answered(connection)
        except BaseException:
            self._fleet.connections.give_back(connection)
            raise

    async def _converse(self, connection: Connection, request: _Request) -> Answer:
        """Sends the rest of the body until there is an answer, and listens to it when that comes before its end (too large, or not allowed): most clients
        look at an answer only once they have said everything."""
        sending, answering = asyncio.ensure_future(_send_on(connection, request)), asyncio.ensure_future(connection.head())
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            answer = await (answering if answering.done() else self._answered(connection))
            await asyncio.wait({sending}, timeout=LISTENED)
        finally:
            sending.cancel()
            answering.cancel()
        connection.spoilt = answer.status >= REFUSED  # maybe nobody has read the body, and its rest would be taken for the next request
        return answer

    async def _answered(self, connection: Connection) -> Answer:
        """The head of an answer that may take its time, but only from a process that lives."""
        deadline = time.monotonic() + ANSWERED
        while True:
            try:
                async with asyncio.timeout(self._slow):
                    return await connection.head()
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise
                if fault := await self._fleet.fault_at(connection.address):
                    raise TimeoutError(fault) from None

    async def _pass_on(self, connection: Connection, answer: Answer, request: _Request, send: Send) -> int:
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": kept(answer.headers)})
            if request.method == "HEAD":
                connection.close()  # whose answer's length is that of a body which does not come
                await send({"type": "http.response.body", "body": b""})
            elif connection.ended:
                await send({"type": "http.response.body", "body": (await connection.whole()).body})
            else:
                await self._pump(connection, request, send, endless=answer.header(b"content-type").startswith(STREAM))
        finally:
            self._fleet.connections.give_back(connection)
        return answer.status

    async def _pump(self, connection: Connection, request: _Request, send: Send, endless: bool) -> None:
        pumping = asyncio.ensure_future(_send_all(connection, send))
        leaving = asyncio.ensure_future(_disconnected(request.receive))
        if endless:
            self._streams.add(pumping)
        try:
            await asyncio.wait({pumping, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(pumping)
            pumping.cancel()
            leaving.cancel()
            await asyncio.gather(pumping, leaving, return_exceptions=True)


class _Request:
    """A request under way; its first piece is at hand, the rest is still to come if `more`."""

    def __init__(self, scope: Any, receive: Receive, id: str) -> None:
        self.scope, self.receive, self.id = scope, receive, id
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Headers = scope["headers"]
        self.trace = next((value.decode("latin-1") for name, value in self.headers if name == TRACE), "")
        self.first, self.more = b"", False
        self.framed = any(name == b"content-length" for name, _ in self.headers)
        self.answered: Callable[[], None] | None = None

    def leave(self) -> None:
        """Its place is another's now."""
        answered, self.answered = self.answered, None
        if answered:
            answered()

    async def begin(self) -> None:
        message = await self.receive()
        self.more = bool(message.get("more_body"))
        self.first = self.framed_piece(message.get("body", b""))

    @property
    def repeatable(self) -> bool:
        return self.method in SAFE and not self.more

    def head(self, fleet: Fleet) -> bytes:
        """The request's line and headers as they go on: what is said of the connection stays here, what the gateway says is signed."""
        client = (self.scope.get("client") or ("",))[0].encode()
        proto, id, target = self.scope.get("scheme", "http").encode(), self.id.encode(), target_of(self.scope)
        method = self.method.encode()
        lines = [b"%b %b HTTP/1.1" % (method, target), *(b"%b: %b" % header for header in kept(self.headers) if header[0] not in REPLACED)]
        lines += [b"x-forwarded-for: " + client, b"x-forwarded-proto: " + proto, b"x-request-id: " + id]
        lines.append(b"torg-gateway: " + handed_on(fleet.gateway, method, target, client, proto, id))
        if self.trace:
            lines.append(b"traceparent: " + self.trace.encode("latin-1"))
        if self.more and not self.framed:
            lines.append(b"transfer-encoding: chunked")
        elif self.first and not self.framed:
            lines.append(b"content-length: %d" % len(self.first))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def framed_piece(self, piece: bytes) -> bytes:
        """A piece of the body, as a chunk where nobody has said how long the whole will be."""
        return piece if self.framed or not self.more else b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            message = await self.receive()
            if message["type"] != "http.request":
                raise Broken("the client went away before it had said everything")
            yield self.framed_piece(message.get("body", b""))
            if not message.get("more_body"):
                break
        if not self.framed:
            yield b"0\r\n\r\n"


def kept(headers: Headers) -> Headers:
    """Those that are meant for the other end."""
    named = {word.strip() for name, value in headers if name == b"connection" for word in value.lower().split(b",")}
    return [header for header in headers if header[0] not in HOP_BY_HOP and header[0] not in named]


async def _send_on(connection: Connection, request: _Request) -> None:
    try:
        async for piece in request.pieces():
            if not connection.lost:
                with suppress(Broken):  # whoever waits for the answer hears of it
                    await connection.write(piece)
    except Broken:  # the client is gone: the context need not wait for the rest
        connection.close()


async def _send_all(connection: Connection, send: Send) -> None:
    try:
        chunks = connection.chunks()
        while True:
            async with asyncio.timeout(QUIET):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (Broken, TimeoutError) as error:
        telemetry.log.warning("an answer ended before its end", address=connection.address, error=str(error))
    finally:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _away(request: _Request, detail: str) -> Problem:
    return Problem("Not available right now", 503, detail, "service.unavailable", instance=request.id)


async def _refuse(send: Send, request: _Request, problem: Problem, retry_after: int = 1) -> int:
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"%d" % retry_after), (b"x-request-id", request.id.encode()), *SECURITY]
    with suppress(ConnectionError):  # nobody waits for it any more
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": encode(problem)})
    return 503


@cache
def _observed(context: str, status: int) -> Callable[[float], None]:
    return HANDED.labels(context, str(status)).observe
