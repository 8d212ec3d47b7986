"""The shop as processes of this machine: opened, kept open whatever dies, replaced under load, and looked at through /proc."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from bench.fleet import memory
from bench.processes import ROOT

READY = "Torg is ready at"
HANDED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Starts a program as a service manager does that keeps its socket (sd_listen_fds(3))."""
OPENS_WITHIN = 300.0  # seconds; the first start fills the shop
AGAIN_AFTER = 0.1  # seconds
REPLACED_WITHIN = 180.0
MAIN, SUPERVISOR = "main", "supervisor"


@dataclass(frozen=True)
class Held:
    """What a process holds: megabytes of memory, open files and sockets, threads."""

    memory: float
    files: int
    threads: int


class Shop:
    """`torg up` as a service manager keeps it: on a socket that outlives it, and started again when it has ended. A fleet's other processes are their
    supervisor's."""

    def __init__(self, data: Path, settings: Mapping[str, str], arguments: Sequence[str] = (), source: Path = ROOT / "src") -> None:
        self.data, self._socket = data, socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._socket.getsockname()[1]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        self._environment = {**kept, "PYTHONPATH": str(source), "TORG_DATA": str(data), "NO_COLOR": "1", "TORG_LIMITS": "false", **settings}
        self._arguments = arguments
        data.mkdir(parents=True, exist_ok=True)
        self.log = data / "told.log"
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self._start()
        deadline = time.monotonic() + OPENS_WITHIN
        while READY not in self.log.read_text():
            if self._running.returncode is not None or time.monotonic() > deadline:
                await self._end(signal.SIGKILL)
                raise AssertionError("the shop did not open; its last words:\n" + "\n".join(self.log.read_text().splitlines()[-12:]))
            await asyncio.sleep(0.1)
        self._keeping = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._end(signal.SIGTERM)
        self._socket.close()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it was opened"
        return self._process

    async def _start(self) -> None:
        held, command = self._socket.fileno(), ("-m", "torg", "up", *self._arguments)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", HANDED, str(held), *command, env=self._environment, stdout=log, stderr=log, cwd=ROOT, pass_fds=(held,)
            )

    async def _keep(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._running.wait()
            await asyncio.sleep(AGAIN_AFTER)
            await self._start()

    async def _end(self, number: signal.Signals) -> None:
        process = self._running
        if process.returncode is None:
            process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), 60)
        except TimeoutError:
            process.kill()
            await process.wait()

    # ---------------------------------------------------------------- its processes

    def processes(self) -> dict[str, int]:
        """Those that serve, by name."""
        return {name: pid for name, pid in self._all().items() if name != SUPERVISOR}

    @property
    def supervisor(self) -> int:
        """The process that watches the others; 0 where there is just one."""
        return self._all().get(SUPERVISOR, 0)

    def _all(self) -> dict[str, int]:
        own = self._running.pid
        if self._running.returncode is not None:
            return {}
        try:
            children = [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
        except OSError:  # it dies just now
            return {}
        found = {name: pid for pid in children if (name := _name_of(pid))}
        return {**found, SUPERVISOR: own} if found or not self._alone else {MAIN: own}

    @property
    def _alone(self) -> bool:
        return "--topology" not in self._arguments or self._arguments[self._arguments.index("--topology") + 1] == "all"

    async def replace(self) -> None:
        """All processes by new ones: one by one, or the only one."""
        before = self._all()
        if SUPERVISOR in before:
            os.kill(before[SUPERVISOR], signal.SIGHUP)
        else:
            os.kill(before[MAIN], signal.SIGTERM)
        async with asyncio.timeout(REPLACED_WITHIN):
            while any(self._all().get(name, pid) == pid for name, pid in before.items() if name != SUPERVISOR):  # noqa: ASYNC110 other processes, in earnest
                await asyncio.sleep(0.1)

    async def reborn(self, name: str, pid: int, seconds: float) -> None:
        """Until another process has this one's name."""
        async with asyncio.timeout(seconds):
            while self.processes().get(name, pid) == pid:  # noqa: ASYNC110 another process, in earnest
                await asyncio.sleep(0.02)

    async def ready(self, browser: aiohttp.ClientSession) -> bool:
        try:
            async with browser.get(f"{self.address}/ready", timeout=aiohttp.ClientTimeout(total=3)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    def complete(self) -> bool:
        """Whether each context runs somewhere, as the supervisor sees it."""
        if not self.supervisor:
            return bool(self._all())
        peers = tomllib.loads((self.data / "fleet" / "peers.toml").read_text())
        return all(peers.get(context) for context in peers["returning"])

    def held(self) -> dict[str, Held]:
        """What each process holds."""
        return {name: Held(memory(pid), len(list(Path(f"/proc/{pid}/fd").iterdir())), _threads(pid)) for name, pid in sorted(self._all().items())}


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _name_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:  # it has ended meanwhile
        return ""
    return words[words.index("--name") + 1] if "--name" in words else ""
