"""Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane; in two threads beside the event loop, which goes before them.

Under a flood of wrong passwords those go first who have signed in from their address before, then those whose address has sent no wrong one lately. Nobody
learns from that whether an account exists: from an address that an account does not know yet, all of them are alike."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from torg.contexts.user.model import UNUSABLE
from torg.kit.errors import Unavailable

T = TypeVar("T")
OWASP_MEMORY_KIB = 19456
PASSES = 2
WORKERS = 2
WAITING = 64  # of a rank: more would wait for a second
SUSPECTS = 8  # times fewer of those whose address has just been wrong
NICER = 10  # than the event loop, where threads can be
REMEMBERED = 600.0  # seconds that an address was wrong
ADDRESSES = 100_000


class Rank(IntEnum):
    KNOWN = 0
    NEW = 1
    SUSPECT = 2


class Argon2Passwords:
    """Implements Passwords."""

    def __init__(self, memory_kib: int = OWASP_MEMORY_KIB, waiting: int = WAITING) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib, parallelism=1)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="argon2", initializer=_step_back)
        self._most = {Rank.KNOWN: waiting, Rank.NEW: waiting, Rank.SUSPECT: max(waiting // SUSPECTS, 1)}
        self._under_way = dict.fromkeys(Rank, 0)
        self._queues = {rank: deque[asyncio.Future[None]]() for rank in Rank}
        self._free = WORKERS
        self._wrong: OrderedDict[str, float] = OrderedDict()
        self._decoy = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        return await self._aside(Rank.NEW, lambda: self._hasher.hash(password))

    async def verify(self, hashed: str, password: str, address: str = "", known: bool = False) -> bool:
        compared = self._decoy if hashed == UNUSABLE else hashed
        fits = await self._aside(Rank.KNOWN if known else self._rank(address), lambda: self._fits(compared, password)) and hashed != UNUSABLE
        if address and not fits:
            self._note(address)
        return fits

    def is_outdated(self, hashed: str) -> bool:
        return hashed != UNUSABLE and self._hasher.check_needs_rehash(hashed)

    async def close(self) -> None:
        self._threads.shutdown()

    def _rank(self, address: str) -> Rank:
        return Rank.SUSPECT if time.monotonic() < self._wrong.get(address, 0.0) else Rank.NEW

    def _note(self, address: str) -> None:
        self._wrong[address] = time.monotonic() + REMEMBERED
        self._wrong.move_to_end(address)
        if len(self._wrong) > ADDRESSES:
            self._wrong.popitem(last=False)

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _aside(self, rank: Rank, work: Callable[[], T]) -> T:
        if self._under_way[rank] >= self._most[rank]:
            raise Unavailable("very many people are signing in just now: try again in a moment", retry_after=2)
        self._under_way[rank] += 1
        try:
            await self._turn(rank)
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
            running.add_done_callback(self._done)  # also when whoever waits for it has gone away
            return await asyncio.shield(running)
        finally:
            self._under_way[rank] -= 1

    async def _turn(self, rank: Rank) -> None:
        """Until a thread is free and nobody of a better rank waits."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queues[rank].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it came, and goes to somebody else
                self._next()
            raise

    def _done(self, running: asyncio.Future[T]) -> None:
        if not running.cancelled():
            running.exception()  # nobody may be left to read it
        self._next()

    def _next(self) -> None:
        for queue in self._queues.values():
            while queue:
                if not (turn := queue.popleft()).done():
                    turn.set_result(None)
                    return
        self._free += 1


def _step_back() -> None:
    """Linux has a niceness for each thread; elsewhere it would be the whole process's."""
    if sys.platform == "linux":
        os.nice(NICER)
