"""Calls: questions to a context whose answer is needed now. One protocol; local, loopback and (in a fleet) HTTP carry it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.messages import Command, Message, Query, encode, reply_type

R = TypeVar("R")
Handle = Callable[[Any], Awaitable[Any]]
"""A handler that has got its dependencies: takes the message, gives the reply."""
Handlers = Mapping[type[Message], Callable[[Any, Any], Awaitable[Any]]]
"""A context's table: each message with the function (message, deps) that handles it."""

in_transaction: ContextVar[bool] = ContextVar("in_transaction", default=False)
"""True while the running task holds a transaction open: calling another context then would hold its locks hostage."""


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
