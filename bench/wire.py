"""A lean load generator: keep-alive connections on one event loop, without a client library between it and the socket."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Burst:
    """What one burst came to; `load` is the share of its own core that the generator used."""

    answers: int
    failures: int
    seconds: float
    load: float

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def request(method: str, path: str, body: object = None, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "host: bench", "accept: */*", *(f"{name}: {value}" for name, value in headers)]
    content = b"" if body is None else msgspec.json.encode(body)
    if body is not None:
        lines += ["content-type: application/json", f"content-length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Answers(asyncio.Protocol):
    """Cuts the incoming bytes into answers; those without a Content-Length end with their head (204, 304)."""

    def __init__(self) -> None:
        self._buffer, self._end, self._head_end = b"", 0, 0

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._end and not self._measure():
            return
        if len(self._buffer) >= self._end:
            whole, self._buffer = self._buffer[: self._end], self._buffer[self._end :]
            head_end, self._end = self._head_end, 0
            self.answered(whole, head_end)

    def _measure(self) -> bool:
        self._head_end = self._buffer.find(b"\r\n\r\n") + 4
        if self._head_end == 3:
            return False
        start = self._buffer.lower().find(b"content-length:", 0, self._head_end)
        length = int(self._buffer[start + 15 : self._buffer.index(b"\r\n", start)]) if start >= 0 else 0
        self._end = self._head_end + length
        return True

    def answered(self, whole: bytes, head_end: int) -> None:
        raise NotImplementedError


class Connection(_Answers):
    """One request at a time, awaited."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: asyncio.Future[Answer] | None = None

    @classmethod
    async def open(cls, port: int, address: str = "") -> Connection:
        """From an `address` of one's own, where one is named: all of 127.0.0.0/8 is this machine."""
        own = (address, 0) if address else None
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port, local_addr=own)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by descent

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("the server closed the connection before it answered"))

    def answered(self, whole: bytes, head_end: int) -> None:
        assert self._waiting is not None, "an answer came that nobody asked for"
        self._waiting.set_result(Answer(int(whole[9:12]), whole[:head_end], whole[head_end:]))

    def send(self, content: bytes) -> asyncio.Future[Answer]:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return self._waiting

    async def ask(self, method: str, path: str, body: object = None, token: str = "", key: str = "", expect: int = 0) -> Any:
        """A question to the API and its decoded answer. Raises AssertionError for another status than `expect` (0: any of 2xx)."""
        headers = [("authorization", f"Bearer {token}")] if token else []
        if key:
            headers.append(("idempotency-key", key))
        answer = await self.send(request(method, API + path, body, headers))
        fine = answer.status == expect if expect else 200 <= answer.status < 300
        assert fine, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        return answer.json() if answer.body else None

    def close(self) -> None:
        self._transport.close()


class _Hammer(_Answers):
    """Sends the next request as soon as an answer is there."""

    def __init__(self, requests: Sequence[bytes], offset: int, tally: dict[str, int]) -> None:
        super().__init__()
        self._requests, self._next, self._tally, self.running = requests, offset, tally, True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by descent
        self._send()

    def answered(self, whole: bytes, head_end: int) -> None:
        self._tally["answers" if whole.startswith(b"HTTP/1.1 200") else "failures"] += 1
        if self.running:
            self._send()
        else:
            self._transport.close()

    def _send(self) -> None:
        self._next = (self._next + 1) % len(self._requests)
        self._transport.write(self._requests[self._next])


async def hammer(port: int, requests: Sequence[bytes], seconds: float, connections: int = 32) -> Burst:
    """As many of these as the server answers, in turn, for so long."""
    tally, loop = {"answers": 0, "failures": 0}, asyncio.get_running_loop()
    hammers = [_Hammer(requests, number * 7, tally) for number in range(connections)]
    for one in hammers:
        await loop.create_connection(lambda one=one: one, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(0.1)
    tally.update(answers=0, failures=0)
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    burst = Burst(tally["answers"], tally["failures"], time.perf_counter() - began, (time.process_time() - cpu) / (time.perf_counter() - began))
    for one in hammers:
        one.running = False
    await asyncio.sleep(0.05)
    return burst


def own_load(began: float, cpu: float) -> float:
    """The share of a core that this process has used since a moment (perf_counter, process_time)."""
    return (time.process_time() - cpu) / max(time.perf_counter() - began, 1e-9)


def pin(core: int) -> bool:
    """Keeps this process on one core; False where that cannot be done."""
    if not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2:
        return False
    os.sched_setaffinity(0, {core})
    return True
