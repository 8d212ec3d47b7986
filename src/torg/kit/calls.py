"""Calls: questions to a context whose answer is needed now. One protocol; local, loopback and (in a fleet) HTTP carry it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from torg.kit import telemetry
from torg.kit.errors import Interleaved, Unavailable
from torg.kit.messages import Command, Message, Query, encode, reply_type
from torg.kit.values import chance

R = TypeVar("R")
Handle = Callable[[Any], Awaitable[Any]]
"""A handler that has got its dependencies: takes the message, gives the reply."""
Handlers = Mapping[type[Message], Callable[[Any, Any], Awaitable[Any]]]
"""A context's table: each message with the function (message, deps) that handles it."""

in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)
"""True while the running task holds a transaction open: calling another context then would hold its locks hostage."""


_lane_held: ContextVar[asyncio.Lock | None] = ContextVar("lane_held", default=None)

TRIES = 12
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.2  # seconds


async def undisturbed(work: Callable[[], Awaitable[R]], name: str, lane: asyncio.Lock | None = None) -> R:
    """Does it anew where its transaction and another's got in each other's way, one of those in the `lane` at a time: where many want the same row, they
    would only be in one another's way again. Raises Unavailable when it happens again and again."""
    pause = FIRST_PAUSE
    for attempt in range(TRIES):
        try:
            if attempt == 0 or lane is None or _lane_held.get() is lane:
                return await work()
            return await _in(lane, work)
        except Interleaved as crossed:
            telemetry.INTERLEAVED.labels(name).inc()
            if attempt == TRIES - 1:
                raise Unavailable(f"too many want to change the same at once ({name}): {crossed}") from crossed
        await asyncio.sleep(pause * (0.5 + chance()))  # those who collided must not come back together
        pause = min(pause * 2, LONGEST_PAUSE)
    raise AssertionError("the last attempt returns or raises")


async def _in(lane: asyncio.Lock, work: Callable[[], Awaitable[R]]) -> R:
    async with lane:
        token = _lane_held.set(lane)
        try:
            return await work()
        finally:
            _lane_held.reset(token)


class Call(Protocol):
    """Sends a command or query to the one context that handles it. Raises DomainError or Unavailable."""

    async def __call__(self, message: Command[R] | Query[R], /) -> R: ...


class LocalCalls:
    """Handlers of the same process, called directly."""

    def __init__(self, handlers: Mapping[type[Message], Handle]) -> None:
        self._handlers = handlers

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        if in_transaction.get():
            raise RuntimeError(f"{type(message).__name__} was called inside a transaction: ask before it, or send a message through the log")
        handle = self._handlers.get(type(message))
        if handle is None:
            raise Unavailable(f"nothing here handles {type(message).NAME or type(message).__name__}")
        with telemetry.span("call", type(message).NAME):
            reply: R = await handle(message)
        return reply


class LoopbackCalls(LocalCalls):
    """As local, but everything is encoded and decoded on its way there and back, and queries are asked twice: shows what a wire would break."""

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        kind = type(message)
        if isinstance(message, Query):
            await super().__call__(msgspec.json.decode(encode(message), type=kind))
        reply = await super().__call__(msgspec.json.decode(encode(message), type=kind))
        decoded: R = msgspec.json.decode(encode(reply), type=reply_type(kind))
        return decoded
