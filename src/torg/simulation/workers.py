"""Several workers side by side, as whoever asks them sees them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from torg.simulation.plan import Plan
from torg.simulation.run import Outcome
from torg.simulation.worker import HASHES, Asked

MEMORY: Final = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 28), "MALLOC_TRIM_THRESHOLD_": str(1 << 29)}
"""Has glibc keep what it was given back: each commit of the search index takes 15 MB, and to have the kernel clear them takes longer than the commit."""
LONGEST_LINE = 1 << 28  # bytes: a story may be long


class WorkerDied(Exception):
    """A worker ended in the middle of a run."""


class Workers:
    """So many processes; each carries out one plan at a time."""

    def __init__(self, template: Path, count: int, bug: str = "") -> None:
        self._template, self._count, self._bug = template, count, bug
        self._idle: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        self._all: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        """The first of them prepares the shop, if nobody has."""
        for _ in range(self._count):
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "torg.simulation.worker", str(self._template), *([self._bug] if self._bug else []),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LONGEST_LINE, env={**os.environ, **MEMORY, HASHES: "0"},
            )  # fmt: skip
            self._all.append(process)
            await self._line(process)
            self._idle.put_nowait(process)

    async def run(self, plan: Plan, story: bool = False) -> Outcome:
        """Waits for a worker that has nothing to do. Raises WorkerDied."""
        process = await self._idle.get()
        assert process.stdin is not None, "it was opened with a pipe"
        process.stdin.write(msgspec.json.encode(Asked(plan, story)) + b"\n")
        outcome = msgspec.json.decode(await self._line(process), type=Outcome)
        self._idle.put_nowait(process)
        return outcome

    async def all(self, plans: Iterable[Plan]) -> AsyncIterator[tuple[Plan, Outcome]]:
        """Outcomes as they come; no more plans are drawn than there are workers."""
        left, under_way = iter(plans), dict[asyncio.Task[Outcome], Plan]()
        while True:
            while len(under_way) < self._count and (plan := next(left, None)) is not None:
                under_way[asyncio.create_task(self.run(plan))] = plan
            if not under_way:
                return
            done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield under_way.pop(task), await task

    async def stop(self) -> None:
        for process in self._all:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def _line(self, process: asyncio.subprocess.Process) -> bytes:
        assert process.stdout is not None, "it was opened with a pipe"
        line = await process.stdout.readline()
        if not line:
            raise WorkerDied(f"a worker of the simulation ended with status {await process.wait()}; what it said stands above")
        return line


@asynccontextmanager
async def working(template: Path, count: int, bug: str = "") -> AsyncIterator[Workers]:
    """Workers that end with the block."""
    workers = Workers(template, count, bug)
    try:
        await workers.start()
        yield workers
    finally:
        await workers.stop()
