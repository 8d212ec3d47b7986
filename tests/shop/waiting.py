"""Waiting for what comes about by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
SETTLE = 15.0  # seconds that a saga may take on a busy machine


async def until(condition: Callable[[], Awaitable[T | None]], what: str, seconds: float = SETTLE) -> T:
    """The first true answer of the condition. Raises AssertionError when there is none in that time."""
    deadline = time.monotonic() + seconds
    while True:
        if found := await condition():
            return found
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.005)
