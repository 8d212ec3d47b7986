"""Waiting for what comes about by itself, in another task or process."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
SETTLE = 60.0  # seconds that anything may take on a busy machine: they cost nothing where all is well
OFTEN = 0.005  # seconds between two looks


@overload
async def until(condition: Callable[[], Awaitable[T | None]], what: str = ..., seconds: float = ..., slowest: float = ...) -> T: ...


@overload
async def until(condition: Callable[[], object], what: str = ..., seconds: float = ..., slowest: float = ...) -> Any: ...


async def until(condition: Callable[[], Any], what: str = "what is waited for", seconds: float = SETTLE, slowest: float = OFTEN) -> Any:
    """The first true answer of the condition, which may be awaited. Raises AssertionError when there is none in that time. Who asks a shop that counts
    requests asks less and less often: in the end every `slowest` seconds."""
    deadline, pause = time.monotonic() + seconds, OFTEN
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(pause)
        pause = min(pause * 1.1, slowest)
