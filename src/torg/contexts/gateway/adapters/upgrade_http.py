"""Opens WebSocket connections to services: the answer to a proper handshake that grants it makes a tunnel, any other answer is an ordinary one."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import prometheus_client

from torg.contexts.gateway.adapters.incoming import REPLACED, Receive, Send, kept
from torg.contexts.gateway.adapters.proxy_http import FOUND, HANDED, TRIES
from torg.contexts.gateway.adapters.tunnel import Tunnel
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.services import Service
from torg.contexts.gateway.model.websocket import VERSION, fault_of_opening, grants
from torg.kit import telemetry
from torg.kit.errors import Forbidden, Problem, Unavailable
from torg.kit.http.admission import RETRY_AFTER, Admission
from torg.kit.http.answering import overloaded
from torg.kit.http.guards import DOCUMENT
from torg.kit.http.identifying import refuse_forgery
from torg.kit.http.request import Headers, Request
from torg.kit.messages import Meta, encode
from torg.kit.rpc.balance import Instance
from torg.kit.rpc.door import target_of
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.http import GRANTED, Answer, Broken, Connection, Unreachable
from torg.kit.values import NewId

OPEN: Final = prometheus_client.Gauge("torg_gateway_upgraded", "WebSocket connections that are open", ("service",))
ENDED: Final = prometheus_client.Counter("torg_gateway_upgraded_ended_total", "WebSocket connections that have ended, by who ended them", ("service", "by"))
"""client, service, quiet, closing."""
SOON: Final = [(b"retry-after", b"1")]


@dataclass(frozen=True)
class _Asked:
    """An instance that has answered a handshake."""

    instance: Instance
    connection: Connection
    answer: Answer


class Upgrades:
    """`queue`: in which handshakes wait with all other requests of the process."""

    def __init__(self, services: Mapping[str, Service], fleet: Fleet, new_id: NewId, queue: Admission | None) -> None:
        self._services, self._fleet, self._new_id, self._queue = services, fleet, new_id, queue
        self._open: Counter[str] = Counter()
        self._tunnels: set[Tunnel] = set()
        self._closing = False

    def end(self) -> None:
        """Ends all connections, and opens no more."""
        self._closing = True
        for tunnel in self._tunnels:
            tunnel.end("closing")

    async def __call__(self, row: Row, scope: Any, receive: Receive, send: Send) -> None:
        began, id = time.perf_counter(), self._new_id()
        if refusal := self._refusal(row.context, scope, receive, id):
            await _refuse(send, *refusal)
            return
        self._open[row.context] += 1
        try:
            trace = telemetry.trace_of(dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1"))
            with telemetry.span("http", f"gateway to {row.context}", Meta(request=id, trace=trace)):
                status, asked = await self._in_turn(row, scope, id, send)
            HANDED.labels(row.context, str(status)).observe(time.perf_counter() - began)
            if asked is not None:
                await self._carry(row.context, asked, receive, send)
        finally:
            self._open[row.context] -= 1

    def _refusal(self, context: str, scope: Any, receive: Receive, id: str) -> tuple[Problem, Headers] | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if fault := fault_of_opening(scope["method"], headers):
            return Problem("Malformed request", 400, fault, "upgrade.malformed", instance=id), []
        if headers.get(b"sec-websocket-version") != VERSION:
            problem = Problem("Upgrade required", 426, f"WebSocket is spoken in its version {VERSION.decode()} alone", "upgrade.version", instance=id)
            return problem, [(b"sec-websocket-version", VERSION), (b"upgrade", b"websocket")]
        service = self._services[context]
        if headers.get(b"origin", b"").decode("latin-1") not in service.origins:
            try:
                refuse_forgery(Request(scope["method"], scope["path"], scope["query_string"], headers, receive, id))
            except Forbidden as forged:
                return Problem("Not allowed", 403, forged.detail, forged.code, instance=id), []
        if self._closing or self._open[context] >= service.connections:
            return Problem("Too busy just now", 503, f"{context} takes no more connections: try again in a moment", "service.overloaded", instance=id), SOON
        return None

    async def _in_turn(self, row: Row, scope: Any, id: str, send: Send) -> tuple[int, _Asked | None]:
        """The status of the answer, and who speaks WebSocket from now on, where one does."""
        queue = self._queue
        if queue is not None and not queue.begins(row.rank) and not await queue.admits(row.rank):
            return await _refuse(send, overloaded(id), [(b"retry-after", b"%d" % RETRY_AFTER)]), None
        try:
            asked = await self._ask(row, _head(scope, id))
        except Unavailable as away:
            return await _refuse(send, _away(away.detail, id), SOON), None
        finally:
            if queue is not None:
                queue.end()
        return await self._answer(row, asked, scope, id, send)

    async def _answer(self, row: Row, asked: _Asked, scope: Any, id: str, send: Send) -> tuple[int, _Asked | None]:
        answer, connection = asked.answer, asked.connection
        if answer.status == GRANTED and grants(answer.headers, dict(scope["headers"])[b"sec-websocket-key"]):
            agreed = [(b"upgrade", b"websocket"), (b"connection", b"Upgrade"), (b"x-request-id", id.encode()), *kept(answer.headers)]
            await send({"type": "http.response.start", "status": GRANTED, "headers": agreed})
            await send({"type": "http.response.body", "body": b"", "more_body": True})
            return GRANTED, asked
        try:
            if answer.status == GRANTED:
                return await _refuse(send, _away(f"{row.context} has answered what is no WebSocket's", id), SOON), None
            await _pass_on(connection, answer, row.timeout, send)
        finally:
            self._fleet.connections.give_back(connection)
        return answer.status, None

    async def _ask(self, row: Row, head: bytes) -> _Asked:
        """The first that answers. Raises Unavailable."""
        due, tried, obstacle = time.monotonic() + row.timeout, list[str](), ""
        while len(tried) < TRIES and (now := time.monotonic()) < due:
            instance = await self._fleet.remote.find(row.context, min(now + FOUND, due), tried)
            tried.append(instance.address)
            try:
                async with asyncio.timeout(due - now):
                    asked = await self._try(instance, head)
            except (Unreachable, Broken, TimeoutError) as error:
                instance.failed()
                obstacle = str(error) or f"{instance.address} did not answer within {row.timeout:g} s"
                continue
            except asyncio.CancelledError:
                instance.gave_up()
                raise
            instance.succeeded(time.monotonic() - now, asked.answer.status < 500)
            return asked
        telemetry.warn("a WebSocket could not be opened", row.context, service=row.context, error=obstacle)
        raise Unavailable(f"{row.context} does not answer now")

    async def _try(self, instance: Instance, head: bytes) -> _Asked:
        connection = await self._fleet.connections.take(instance.address)
        try:
            connection.send(head, upgrade=True)
            return _Asked(instance, connection, await connection.head())
        except BaseException:
            self._fleet.connections.give_back(connection)
            raise

    async def _carry(self, context: str, asked: _Asked, receive: Receive, send: Send) -> None:
        tunnel = Tunnel(context, asked.connection, receive, send, self._services[context].quiet)
        self._tunnels.add(tunnel)
        OPEN.labels(context).inc()
        asked.instance.load += 1
        if self._closing:
            tunnel.end("closing")
        try:
            ENDED.labels(context, await tunnel.run()).inc()
        finally:
            asked.instance.load -= 1
            OPEN.labels(context).dec()
            self._tunnels.discard(tunnel)
            self._fleet.connections.give_back(asked.connection)


def _head(scope: Any, id: str) -> bytes:
    """The handshake as it goes on."""
    client, proto = (scope.get("client") or ("",))[0].encode(), scope.get("scheme", "http").encode()
    lines = [b"GET %b HTTP/1.1" % target_of(scope), *(b"%b: %b" % header for header in kept(scope["headers"]) if header[0] not in REPLACED)]
    lines += [b"connection: Upgrade", b"upgrade: websocket", b"x-forwarded-for: " + client, b"x-forwarded-proto: " + proto, b"x-request-id: " + id.encode()]
    if trace := telemetry.traceparent():
        lines.append(b"traceparent: " + trace.encode("latin-1"))
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _pass_on(connection: Connection, answer: Answer, seconds: float, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": kept(answer.headers)})
    try:
        async with asyncio.timeout(seconds):
            async for chunk in connection.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (Broken, TimeoutError) as error:  # it gets no end, so that nobody takes it for whole
        telemetry.warn("an answer ended before its end", connection.address, address=connection.address, error=str(error))
        return
    await send({"type": "http.response.body", "body": b""})


def _away(detail: str, id: str) -> Problem:
    return Problem("Not available right now", 503, detail, "service.unavailable", instance=id)


async def _refuse(send: Send, problem: Problem, headers: Headers) -> int:
    said = [(b"content-type", b"application/problem+json"), (b"x-request-id", problem.instance.encode()), *headers, *DOCUMENT]
    await send({"type": "http.response.start", "status": problem.status, "headers": said})
    await send({"type": "http.response.body", "body": encode(problem)})
    return problem.status
