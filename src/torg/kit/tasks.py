"""Supervised tasks: what a process runs besides answering requests. One that dies is started again, later each time, and shows in /ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torg.kit.errors import Unavailable
from torg.kit.telemetry import TASK_RESTARTS, log

FIRST_RESTART, SLOWEST_RESTART = 0.1, 30.0  # seconds
LEASE = 10.0  # seconds
AGAIN = 1.0  # seconds until a task that did not end is cancelled once more
STEADY_AFTER = 5.0  # seconds that a restarted task lives before it counts as well again


@dataclass(frozen=True)
class Job:
    """Something a context does every `every` seconds, or as many as `rest` says, counted from the end of the last time: in one process at a time where
    several share its records, with which it stays for `lease` seconds at least; or `everywhere` where it looks after something of the process itself."""

    name: str
    every: float
    run: Callable[[], Awaitable[None]]
    everywhere: bool = False
    rest: Callable[[], float] | None = None
    lease: float = LEASE


class Bell:
    """Wakes a job before its time: whoever made work for it rings, best after the commit."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Says that there is work."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Until somebody rings, `seconds` at most; rings that came before count as one."""
        with suppress(TimeoutError):  # nobody rang: the caller looks all the same
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may lose a cancellation, and whoever closes would wait for ever
                await self._rung.wait()
        self._rung.clear()


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancels tasks until all have ended. One cancellation may be lost: `wait_for` of Python 3.11, which PyMongo sends with, keeps it to itself when what it
    waited for is done at that moment, and the task goes on."""
    tasks = list(tasks)
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN)
    await asyncio.gather(*tasks, return_exceptions=True)  # what one ended with was told where it happened


class Supervisor:
    """Keeps tasks running until it is closed. One that has lived for `steady_after` seconds counts as well again."""

    def __init__(self, steady_after: float = STEADY_AFTER) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._steady_after = steady_after
        self.failing: dict[str, str] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Runs it for as long as the process lives."""
        self._tasks.append(asyncio.create_task(self._keep(name, run), name=name))

    def start_job(self, job: Job) -> None:
        """Runs it again and again for as long as the process lives."""

        async def again_and_again() -> None:
            while True:
                await job.run()
                self.failing.pop(job.name, None)
                await asyncio.sleep(job.rest() if job.rest else job.every)

        self.start(job.name, again_and_again)

    async def close(self) -> None:
        """Ends all tasks, each at its next await; a transaction that was committing is finished by its database."""
        await ended(self._tasks)

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        wait = FIRST_RESTART
        while True:
            began = time.monotonic()
            healed = asyncio.get_running_loop().call_later(self._steady_after, self.failing.pop, name, None)
            try:
                await run()
                self.failing.pop(name, None)
                return
            except Exception as error:  # noqa: BLE001 the one place where a task's death is turned into its restart, told in log, metric and /ready
                wait = FIRST_RESTART if time.monotonic() - began >= self._steady_after else wait
                self.failing[name] = f"{type(error).__name__}: {error}"
                TASK_RESTARTS.labels(name).inc()
                if isinstance(error, Unavailable):
                    log.warning("a task waits for what is away", task=name, detail=error.detail, seconds=wait)
                else:
                    log.error("task died, starting it again", task=name, seconds=wait, exc_info=error)
            finally:
                healed.cancel()
            await asyncio.sleep(wait)
            wait = min(wait * 2, SLOWEST_RESTART)
