"""Argon2id (RFC 9106) with OWASP's parameters: 19 MiB, two passes, one lane; in threads beside the event loop, which goes before them.

One core is left to the event loop. Two threads on a core that it shares would hold it up: one is done and holds the interpreter's lock for a moment, while
the other one has the core for a turn of the scheduler's, which is milliseconds.

Under a flood of guesses those go first who have signed in from their address before, then those whose address has asked least of late: whoever comes
from somewhere new has asked once, whoever guesses again and again. Nobody learns from that whether an account exists: from an address that an account does
not know yet, all of them are alike."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from torg.contexts.user.model.accounts import UNUSABLE
from torg.kit.errors import Overloaded

T = TypeVar("T")
OWASP_MEMORY_KIB = 19456
PASSES = 2
MOST_THREADS = 2
WAITING = 64  # of each kind: more would wait for a second
NICER = 10  # than the event loop, where threads can be
REMEMBERED = 600.0  # seconds that an address has asked
ADDRESSES = 100_000


@dataclass(slots=True, eq=False)
class _Waiting:
    """Somebody who waits for a thread, and how often their address has asked."""

    asked: int
    turn: asyncio.Future[None]


def _asked(one: _Waiting) -> int:
    return one.asked


class Argon2Passwords:
    """Implements Passwords."""

    def __init__(self, memory_kib: int = OWASP_MEMORY_KIB, waiting: int = WAITING, threads: int = 0) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=memory_kib, parallelism=1)
        threads = threads or max(1, min(_cores() - 1, MOST_THREADS))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2", initializer=_step_back)
        self._most, self._free = waiting, threads
        self._known, self._hashed, self._strangers = list[_Waiting](), list[_Waiting](), list[_Waiting]()
        self._asked: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._decoy = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        return await self._aside(self._hashed, 0, lambda: self._hasher.hash(password))

    async def verify(self, hashed: str, password: str, address: str = "", known: bool = False) -> bool:
        compared, asked = self._decoy if hashed == UNUSABLE else hashed, self._count(address)
        fits = await self._aside(self._known if known else self._strangers, asked, lambda: self._fits(compared, password)) and hashed != UNUSABLE
        if fits:
            self._asked.pop(address, None)
        return fits

    def is_outdated(self, hashed: str) -> bool:
        return hashed != UNUSABLE and self._hasher.check_needs_rehash(hashed)

    async def close(self) -> None:
        self._threads.shutdown()

    def _count(self, address: str) -> int:
        """How often it has asked of late without being right."""
        now = time.monotonic()
        before, until = self._asked.pop(address, (0, 0.0))
        asked = before + 1 if now < until else 1
        self._asked[address] = asked, now + REMEMBERED
        if len(self._asked) > ADDRESSES:
            self._asked.popitem(last=False)
        return asked

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _aside(self, queue: list[_Waiting], asked: int, work: Callable[[], T]) -> T:
        await self._turn(queue, asked)
        running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        running.add_done_callback(self._done)  # also when whoever waits for it has gone away
        return await asyncio.shield(running)

    async def _turn(self, queue: list[_Waiting], asked: int) -> None:
        """Until a thread is free and nobody goes first. Raises Overloaded, also for somebody in whose place another one waits by now."""
        if self._free:
            self._free -= 1
            return
        own = _Waiting(asked, asyncio.get_running_loop().create_future())
        queue.append(own)
        if len(queue) > self._most:
            self._refuse(queue)
        try:
            await own.turn
        except asyncio.CancelledError:
            if own in queue:
                queue.remove(own)
            elif not own.turn.cancelled() and not own.turn.exception():  # it came, and goes to somebody else
                self._next()
            raise

    def _refuse(self, queue: list[_Waiting]) -> None:
        """Whose address has asked most; of those the one who has waited longest, and has perhaps gone away."""
        last = max(queue, key=_asked)
        queue.remove(last)
        if not last.turn.done():
            last.turn.set_exception(Overloaded("very many people are signing in just now: try again in a moment", retry_after=2))

    def _done(self, running: asyncio.Future[T]) -> None:
        if not running.cancelled():
            running.exception()  # nobody may be left to read it
        self._next()

    def _next(self) -> None:
        """Gives the thread to whoever goes first; of those alike to the one who came last, who is surely still there."""
        for queue in (self._known, self._hashed, self._strangers):
            while queue:
                first = min(reversed(queue), key=_asked)
                queue.remove(first)
                if not first.turn.done():  # else whoever it was for is just going away
                    first.turn.set_result(None)
                    return
        self._free += 1


def _cores() -> int:
    """On which this process may run."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _step_back() -> None:
    """Linux has a niceness for each thread; elsewhere it would be the whole process's."""
    if sys.platform == "linux":
        os.nice(NICER)
