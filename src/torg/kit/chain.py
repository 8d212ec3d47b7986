"""Chains of calls: who asks whom on whose behalf, how deep that may go, and until when an answer is of use."""

from __future__ import annotations

import math
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from torg.kit.calls import Call
from torg.kit.messages import Command, Query, context_of

R = TypeVar("R")
DEEPEST: Final = 2
"""An edge asks a context, and that may ask another one: gateway → context → context."""
EDGES: Final = frozenset({"gateway", "web", "operator"})
"""What stands before the contexts: its calls begin a chain. The operator is the command line."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where the running task stands in a chain: how deep, who made the call that it works on, and when its answer is due (time.monotonic; 0: never)."""

    depth: int = 0
    caller: str = ""
    due: float = 0


_NOBODYS: Final = Link()
chain: ContextVar[Link] = ContextVar("chain", default=_NOBODYS)
ends: ContextVar[float] = ContextVar("ends", default=math.inf)
"""When the request from outside that the running task works on is of no use any more (time.monotonic): no call made for it waits longer."""


class TooDeep(RuntimeError):
    """A call that would make its chain deeper than gateway → context → context: a defect of the caller's, in every topology."""


def lengthened(caller: str, floor: int, context: str, asked: str) -> Token[Link]:
    """One more link, from `caller` to `context`; whoever adds it takes it off again. Raises TooDeep."""
    above = chain.get()
    depth = max(above.depth, floor) + (context != caller)
    if depth > DEEPEST:
        raise TooDeep(
            f"{caller} asks {context} for {asked} while it answers {above.caller}: "
            "no chain goes deeper than gateway → context → context; let whoever asked first ask for this as well"
        )
    return chain.set(Link(depth, caller, above.due))


class Chained:
    """Calls as one context or edge makes them. What a context does without being asked (jobs, routes) is as deep as if an edge had asked it."""

    def __init__(self, call: Call, caller: str, edge: bool = False) -> None:
        self._call, self._caller = call, caller
        self._floor = 0 if edge or caller in EDGES else 1

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        token = lengthened(self._caller, self._floor, context_of(type(message)), type(message).__name__)
        try:
            return await self._call(message)
        finally:
            chain.reset(token)


class within:  # noqa: N801 reads as what it is: with within(5)
    """Calls made inside it have so many seconds for their answers, or less where whoever asked has less patience."""

    __slots__ = ("_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        link, due = chain.get(), time.monotonic() + self._seconds
        self._token: Token[Link] = chain.set(replace(link, due=min(link.due or due, due)))

    def __exit__(self, *_: object) -> None:
        chain.reset(self._token)
