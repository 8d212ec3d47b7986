"""Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane; in two threads beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from torg.contexts.user.model import UNUSABLE
from torg.kit.errors import Unavailable

T = TypeVar("T")
OWASP_MEMORY_KIB = 19456
PASSES = 2
WORKERS = 2
WAITING = 128  # more would wait for seconds


class Argon2Passwords:
    """Implements Passwords."""

    def __init__(self, memory_kib: int = OWASP_MEMORY_KIB, waiting: int = WAITING) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="argon2")
        self._waiting, self._most = 0, waiting
        self._decoy = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        return await self._aside(lambda: self._hasher.hash(password))

    async def verify(self, hashed: str, password: str) -> bool:
        if hashed == UNUSABLE:
            await self._aside(lambda: self._fits(self._decoy, password))
            return False
        return await self._aside(lambda: self._fits(hashed, password))

    def is_outdated(self, hashed: str) -> bool:
        return hashed != UNUSABLE and self._hasher.check_needs_rehash(hashed)

    async def close(self) -> None:
        self._threads.shutdown()

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _aside(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._most:
            raise Unavailable("very many people are signing in just now: try again in a moment", retry_after=2)
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._done)  # also when whoever waits for it has gone away
        return await asyncio.shield(running)

    def _done(self, running: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not running.cancelled():
            running.exception()  # nobody may be left to read it
