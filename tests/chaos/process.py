"""The shop as a process that can be killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from torg.kit.ports import free_port

ROOT = Path(__file__).parents[2]
OPENS_WITHIN = 120.0  # seconds; the first start fills the shop


class Process:
    """`python -m torg up` on a data folder, always on the same port. `starts` are the seconds from each start to its first answer."""

    def __init__(self, data: Path, settings: dict[str, str]) -> None:
        self.data, self.port, self.starts = data, free_port(), list[float]()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        self._environment = {**kept, "PYTHONPATH": str(ROOT / "src"), "TORG_LIMITS": "false", **settings}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns once the shop says that it is ready."""
        began = time.monotonic()
        arguments = ("-m", "torg", "up", "--port", str(self.port), "--data", str(self.data))
        with (self.data / "told.log").open("ab") as told:
            self._process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=told)
        assert self._process.stdout is not None
        async with asyncio.timeout(OPENS_WITHIN):
            while line := await self._process.stdout.readline():
                if line.startswith(b"Torg is ready at"):
                    self.starts.append(time.monotonic() - began)
                    self._reading = asyncio.create_task(self._process.stdout.read())
                    return
        raise AssertionError(f"the shop did not open: {(self.data / 'told.log').read_text()[-2000:]}")

    async def kill(self) -> None:
        """As a loss of power to this process: nothing of it gets another turn."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)
        await self._process.wait()
        await self._reading
