"""Hands requests on to the processes of contexts, and their answers back, piece by piece as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final

from prometheus_client import Counter, Histogram

from torg.contexts.gateway.adapters.incoming import Gone, Incoming, Receive, Send, kept
from torg.contexts.gateway.model import Row
from torg.kit import telemetry
from torg.kit.errors import Problem, Unavailable
from torg.kit.http.admission import RETRY_AFTER, Admission, Urgency
from torg.kit.http.answering import overloaded
from torg.kit.http.guards import DOCUMENT
from torg.kit.messages import Meta, encode
from torg.kit.rpc.balance import Instance
from torg.kit.rpc.client import Budget
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.http import Answer, Broken, Connection, Unreachable
from torg.kit.tasks import ended
from torg.kit.telemetry import BUCKETS
from torg.kit.values import NewId

FOUND: Final = 15.0  # seconds that a request waits for a context that is being restarted
SLOW: Final = 2.0  # seconds
QUIET: Final = 60.0  # seconds between two pieces of an answer; streams of events send a heartbeat every fifteen
REFUSED: Final = 400
DEFECT: Final = 500
NOBODY: Final = 499  # as others call an answer that nobody waits for
LISTENED: Final = 5.0  # seconds that the rest of a body is listened to once it is refused
TRIES: Final = 3
STREAM: Final = b"text/event-stream"
UNDER_WAY: Final = 512
GRACE: Final = 0.2  # seconds that a context has to say that it could not answer in time
HANDED = Histogram("torg_gateway_seconds", "Time from a request's arrival to the end of its answer", ("context", "status"), buckets=BUCKETS)
FULL: Final = Counter("torg_gateway_full_total", "Requests refused as their context had as many under way as it may", ("context",))
HEDGED: Final = Counter("torg_gateway_hedged_total", "Slow requests that a second instance was asked as well, by who answered first", ("context", "first"))


class Tail:
    """About how long the slowest twentieth takes: a guess that each answer moves, up by nineteen where it was later and down by one where it was not."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        step = max(self.seconds, seconds) / 100
        self.seconds = max(self.seconds + (step * 19 if seconds > self.seconds else -step), 0.0)


class Proxy:
    """Reaches contexts of other processes; where this one has more to do than it can, the more urgent requests go through its `door` first. `slow`: seconds
    without an answer after which a process is asked whether it lives at all; `most`: requests under way to one context, so that a slow one does not use up
    what the others need. `signs`: it tells who asks, and in what time, to those who believe the gateway."""

    def __init__(
        self, fleet: Fleet, new_id: NewId, door: Admission | None = None, slow: float = SLOW, most: int = UNDER_WAY, signs: bool = True
    ) -> None:  # fmt: skip
        self._identities = fleet.identities if signs else None
        self._fleet, self._new_id, self._door, self._slow, self._most = fleet, new_id, door, slow, most
        self._streams: set[asyncio.Task[None]] = set()
        self._budgets: dict[str, Budget] = {}
        self._under_way: dict[tuple[str, bool], int] = {}
        self._tails: dict[Row, Tail] = {}

    async def close(self) -> None:
        """Ends answers that have no end of their own; clients take up streams elsewhere, by Last-Event-ID."""
        await ended(self._streams)

    async def __call__(self, row: Row, scope: Any, receive: Receive, send: Send) -> None:
        began, request, context = time.perf_counter(), Incoming(scope, receive, self._new_id(), row), row.context
        with telemetry.span("http", f"gateway to {context}", Meta(request=request.id, trace=request.trace)):
            request.trace = telemetry.traceparent() or request.trace
            status = await self._answer(row, request, send)
        _observed(context, status)(time.perf_counter() - began)

    async def _answer(self, row: Row, request: Incoming, send: Send) -> int:
        """The status of what was answered."""
        try:
            await request.begin()
            return await self._in_turn(row, request, send)
        except Gone:
            return NOBODY

    async def _in_turn(self, row: Row, request: Incoming, send: Send) -> int:
        if self._door is None:
            return await self._one_of_many(row, request, send)
        if not self._door.begins(row.rank) and not await self._door.admits(row.rank):
            return await _refuse(send, request, overloaded(request.id), RETRY_AFTER)
        request.leaves.append(self._door.end)
        if request.more:
            request.leave()  # to hand a body on as it comes is little, and may take as long as its client likes
        try:
            return await self._one_of_many(row, request, send)
        finally:
            request.leave()

    async def _one_of_many(self, row: Row, request: Incoming, send: Send) -> int:
        """A context has so many requests under way and no more; what is urgent has room beyond that. Those whose bodies are still to come have a room of
        their own, so that whoever sends slowly takes no place of those who have said everything."""
        context, most = row.context, self._most if row.rank > Urgency.CHECKOUT else self._most + self._most // 4
        place, most = (context, request.more), max(self._most // 4, 1) if request.more else most
        if (now := self._under_way.get(place, 0)) >= most:
            FULL.labels(context).inc()
            detail = f"{context} has {now} requests under way already: try again in a moment"
            return await _refuse(send, request, Problem("Too busy just now", 503, detail, "service.overloaded", instance=request.id))
        self._under_way[place] = now + 1
        request.leaves.append(lambda: self._left(place))
        try:
            return await self._hand_on(row, request, send)
        finally:
            request.leave()

    def _left(self, place: tuple[str, bool]) -> None:
        self._under_way[place] -= 1

    async def _hand_on(self, row: Row, request: Incoming, send: Send) -> int:
        context, tried = row.context, list[str]()
        budget = self._budgets.get(context) or self._budgets.setdefault(context, Budget())
        budget.earn()
        while True:
            try:
                instance = await self._fleet.remote.find(context, min(time.monotonic() + FOUND, request.due), tried)
            except Unavailable as away:
                return await _refuse(send, request, _away(request, away.detail))
            tried.append(instance.address)
            try:
                if row.hedge and request.repeatable:
                    connection, answer = await self._hedged(row, instance, request, budget)
                else:
                    connection, answer = await self._try(instance, request)
            except (Unreachable, Broken, TimeoutError) as error:
                if request.gone:
                    raise Gone from error
                again = isinstance(error, Unreachable) or (request.repeatable and isinstance(error, Broken) and budget.spend())
                if not again or len(tried) >= TRIES or time.monotonic() >= request.due:
                    telemetry.warn("a request could not be handed on", context, context=context, path=request.path, request_id=request.id, error=str(error))
                    return await _refuse(send, request, _away(request, f"{context} does not answer now"))
                continue
            request.leave()  # what is left to do is little, and may go on for hours
            return await self._pass_on(connection, answer, request, send)

    async def _try(self, instance: Instance, request: Incoming) -> tuple[Connection, Answer]:
        """Asks one instance, and remembers how that went."""
        began = time.monotonic()
        instance.load += 1
        try:
            connection, answer = await self._ask(instance, request)
        except (Unreachable, Broken, TimeoutError):
            if request.gone:
                instance.gave_up()
            else:
                instance.failed()
            raise
        except asyncio.CancelledError:
            instance.gave_up()
            raise
        finally:
            instance.load -= 1
        instance.succeeded(None if request.more else time.monotonic() - began, answer.status < DEFECT)
        return connection, answer

    async def _hedged(self, row: Row, instance: Instance, request: Incoming, budget: Budget) -> tuple[Connection, Answer]:
        """Asks a second instance as well where the first one takes longer than most answers do; whoever answers first is listened to."""
        tail = self._tails.get(row) or self._tails.setdefault(row, Tail())
        began, first = time.monotonic(), None
        tries = [asyncio.ensure_future(self._try(instance, request))]
        try:
            await asyncio.wait(tries, timeout=max(row.hedge, tail.seconds))
            if not tries[0].done() and (other := await self._other(row.context, instance, request, budget)):
                tries.append(asyncio.ensure_future(self._try(other, request)))
            first = await _first(tries)
            if len(tries) > 1:
                HEDGED.labels(row.context, "first" if first is tries[0] else "second").inc()
            tail.add(time.monotonic() - began)
            return first.result()
        finally:
            await self._end([one for one in tries if one is not first])

    async def _other(self, context: str, instance: Instance, request: Incoming, budget: Budget) -> Instance | None:
        """Another instance, where there is one and the budget has room for it."""
        try:
            found = await self._fleet.remote.find(context, time.monotonic(), (instance.address,))
        except Unavailable:
            return None
        if found is not instance and budget.spend():
            return found
        found.gave_up()
        return None

    async def _end(self, tries: Sequence[asyncio.Future[tuple[Connection, Answer]]]) -> None:
        """Nobody listens to them any more; an answer that has begun is broken off."""
        for one in tries:
            one.cancel()
        for outcome in await asyncio.gather(*tries, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                self._fleet.connections.give_back(outcome[0])

    async def _ask(self, instance: Instance, request: Incoming) -> tuple[Connection, Answer]:
        connection = await self._fleet.connections.take(instance.address, request.context)
        try:
            connection.send(request.head(self._identities) + request.first)
            if request.more:
                return connection, await self._converse(connection, request)
            return connection, await self._answered(connection, request, request.due)
        except BaseException:
            self._fleet.connections.give_back(connection)
            raise

    async def _converse(self, connection: Connection, request: Incoming) -> Answer:
        """Sends the rest of the body until there is an answer, and listens to it when that comes before its end (too large, or not allowed): most clients
        look at an answer only once they have said everything."""
        sending, answering = asyncio.ensure_future(_send_on(connection, request)), asyncio.ensure_future(connection.head())
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            answering.cancel()
            answer = await (answering if answering.done() else self._answered(connection, request, time.monotonic() + request.timeout))
            await asyncio.wait({sending}, timeout=LISTENED)
        finally:
            sending.cancel()
            answering.cancel()
        connection.spoilt = answer.status >= REFUSED  # maybe nobody has read the body, and its rest would be taken for the next request
        return answer

    async def _answered(self, connection: Connection, request: Incoming, due: float) -> Answer:
        """The head of an answer that may take its time, but only from a process that lives, which gives up by itself when it is due."""
        until = due + GRACE
        while True:
            try:
                async with asyncio.timeout(max(min(self._slow, until - time.monotonic()), 0)):
                    return await connection.head()
            except TimeoutError:
                async with asyncio.timeout(max(until - time.monotonic(), 0)):
                    fault = await self._fleet.fault_at(connection.address, request.context)
                if fault:
                    raise TimeoutError(fault) from None

    async def _pass_on(self, connection: Connection, answer: Answer, request: Incoming, send: Send) -> int:
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

    async def _pump(self, connection: Connection, request: Incoming, send: Send, endless: bool) -> None:
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


async def _first(tries: Sequence[asyncio.Future[tuple[Connection, Answer]]]) -> asyncio.Future[tuple[Connection, Answer]]:
    """The first that has an answer; where none gets one, the last that has failed."""
    waiting = set(tries)
    while True:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            if (not one.cancelled() and one.exception() is None) or not waiting:
                return one


async def _send_on(connection: Connection, request: Incoming) -> None:
    try:
        async for piece in request.pieces():
            if not connection.lost:
                with suppress(Broken):  # whoever waits for the answer hears of it
                    await connection.write(piece)
    except Gone:  # the context need not wait for the rest
        connection.close()


async def _send_all(connection: Connection, send: Send) -> None:
    """An answer that breaks off gets no end: so its connection is ended, and nobody takes it for whole."""
    try:
        chunks = connection.chunks()
        while True:
            async with asyncio.timeout(QUIET):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except (Broken, TimeoutError) as error:
        telemetry.warn("an answer ended before its end", connection.address, address=connection.address, error=str(error))
        return
    except asyncio.CancelledError:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        raise
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _away(request: Incoming, detail: str) -> Problem:
    return Problem("Not available right now", 503, detail, "service.unavailable", instance=request.id)


async def _refuse(send: Send, request: Incoming, problem: Problem, retry_after: int = 1) -> int:
    headers = [(b"content-type", b"application/problem+json"), (b"retry-after", b"%d" % retry_after), (b"x-request-id", request.id.encode()), *DOCUMENT]
    with suppress(ConnectionError):  # nobody waits for it any more
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": encode(problem)})
    return 503


@cache
def _observed(context: str, status: int) -> Callable[[float], None]:
    return HANDED.labels(context, str(status)).observe
