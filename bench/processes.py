"""The processes that are measured: started on a core of their own, watched through /proc, stopped in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from torg.kit.ports import free_port

ROOT = Path(__file__).parents[1]
PASSWORD = "bench-password-1"  # noqa: S105 of a shop that lives for minutes
READY = "Torg is ready"
TICKS = os.sysconf("SC_CLK_TCK")


class DidNotStart(Exception):
    """What the process said before it gave up."""


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Where children are started: None leaves it to the system."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})  # a child starts where its parent is
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """`python -m MODULE ARGUMENTS`, pinned to `core` (None: wherever it likes) until its line "Torg is ready"; `ready` is how many seconds that took."""

    def __init__(self, module: str, *arguments: str, core: int | None, env: Mapping[str, str] | None = None, patience: float = 180) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        own |= {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "TORG_DEMO_PASSWORD": PASSWORD, **(env or {})}
        began = time.perf_counter()
        with on_core(core):
            self._process = subprocess.Popen(  # noqa: S603 our own modules
                [sys.executable, "-m", module, *arguments], env=own, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
            )
        self.pid = self._process.pid
        self._wait(module, began + patience)
        self.ready = time.perf_counter() - began
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _wait(self, module: str, deadline: float) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(READY):
                return
            if time.perf_counter() > deadline:
                break
        self._process.kill()
        raise DidNotStart(f"python -m {module} ended with {self._process.wait()} before it was ready; start it by hand to see why")

    def _listen(self) -> None:
        """A process whose log nobody reads would stand still as soon as the pipe is full."""
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            continue

    def cpu(self) -> float:
        """Seconds of CPU so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> float:
        """Resident megabytes."""
        line = next(line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._listening.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Shop(Process):
    """A Torg on a data folder of its own. `counted` has it count its SQL statements as well."""

    def __init__(self, data: Path, core: int | None, counted: bool = False, **settings: str) -> None:
        self.port, self.data = free_port(), data
        env = {"TORG_LIMITS": "false"} | {f"TORG_{name.upper()}": value for name, value in settings.items()}
        super().__init__("bench.counted" if counted else "torg", "up", "--port", str(self.port), "--data", str(data), core=core, env=env)


class Bare(Process):
    """The yardstick with its pages."""

    def __init__(self, pages: Path, core: int | None) -> None:
        self.port = free_port()
        super().__init__("bench.bare", str(self.port), str(pages), core=core)


def size(folder: Path) -> float:
    """Megabytes of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
