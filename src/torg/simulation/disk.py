"""A simulated disk: what is committed is safe a drawn moment later, unless its process dies before that, or the disk will not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from random import Random
from typing import Final

from torg.kit.sql.committer import Committer

QUICKEST, SLOWEST = 0.002, 0.04  # seconds that a commit takes to be safe
FULL, FAILING = (sqlite3.SQLITE_FULL, "database or disk is full"), (sqlite3.SQLITE_IOERR, "disk I/O error")
Fault = tuple[int, str]
HEALTHY: Final = None


class SimulatedDisk(Committer):
    """Of one process. `fault` is what SQLite says instead of writing; `slow` how many times longer it takes."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self.fault: Fault | None = HEALTHY
        self.slow = 1.0

    def next(self) -> None:
        """Which of those who wait is told is drawn."""
        if len(self._waiting) > 1:
            self._waiting.rotate(int(self._random.random() * len(self._waiting)))
        super().next()

    def run(self, work: Callable[[], None]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._under_way += 1
        future.add_done_callback(self._done)
        took = (QUICKEST + self._random.random() * (SLOWEST - QUICKEST)) * self.slow
        loop.call_later(took, self._finish, work, future)
        return future

    def _finish(self, work: Callable[[], None], future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        try:
            if self.fault:
                raise _said(self.fault)
            work()
        except sqlite3.Error as error:
            future.set_exception(error)
            return
        future.set_result(None)


def _said(fault: Fault) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(fault[1])
    error.sqlite_errorcode = fault[0]
    return error
