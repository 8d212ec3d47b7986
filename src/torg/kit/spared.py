"""Calls to what one can do without: soon given up, and left alone for a while once they have failed again and again."""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

from torg.kit import telemetry
from torg.kit.calls import Call
from torg.kit.chain import within
from torg.kit.errors import DomainError, Unavailable
from torg.kit.messages import Command, Query
from torg.kit.rpc.breaker import Breaker

R = TypeVar("R")


class Spared:
    """Implements Call. An answer is waited for `seconds` at most; a kind of message that went unanswered five times in a row is not asked at all for a while,
    so that what hangs costs the next ones nothing. Raises Unavailable then, and where the other side has a defect: that must not become the asker's."""

    def __init__(self, call: Call, seconds: float) -> None:
        self._call, self._seconds = call, seconds
        self._breakers: dict[str, Breaker] = {}

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        name = type(message).NAME
        breaker = self._breakers.get(name) or self._breakers.setdefault(name, Breaker(time.monotonic))
        if not breaker.take():
            raise Unavailable(f"{name} has failed again and again; it is left alone for a moment")
        try:
            async with asyncio.timeout(self._seconds):
                with within(self._seconds):
                    reply = await self._call(message)
        except DomainError:
            breaker.succeeded()
            raise
        except asyncio.CancelledError:
            breaker.gave_up()
            raise
        except Exception as error:
            breaker.failed()
            raise self._away(name, error) from error
        breaker.succeeded()
        return reply

    def _away(self, name: str, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            return error
        if isinstance(error, TimeoutError):
            return Unavailable(f"{name} was not answered within {self._seconds:g} s")
        telemetry.log.error("what can be done without has failed", message=name, exc_info=error)
        return Unavailable(f"{name} has failed: its log has the whole story")
