"""What every measurement is given: the seeded shop, cores, how long and how often, and the book to write into."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import Book
from bench.fleet import Fleet
from bench.processes import ROOT, Process, Shop


@dataclass(frozen=True)
class House:
    """`seeded` is a shop's folder that nobody runs on: measurements take copies. `quick` shrinks everything to see that it works."""

    folder: Path
    seeded: Path
    book: Book
    repeats: int
    quick: bool
    server_core: int | None = None
    load_core: int | None = None
    topology: str = "all"

    @property
    def seconds(self) -> float:
        """How long one burst lasts."""
        return 0.2 if self.quick else 2.0

    def of(self, many: int, few: int) -> int:
        return few if self.quick else many

    def shop(self, name: str, counted: bool = False, **settings: str) -> Shop:
        """A Torg on a fresh copy of the seeded folder."""
        data = self.folder / name
        if data.exists():
            shutil.rmtree(data)
        shutil.copytree(self.seeded, data)
        return Shop(data, self.server_core, counted, **settings)

    def opened(self, name: str, **settings: str) -> Shop | Fleet:
        """As `shop`, in the processes of the topology that was asked for, on its own engines; all of them on the server's core."""
        if self.topology == "all":
            return self.shop(name, False, **settings)
        shutil.copytree(self.seeded, self.folder / name)
        told = {f"TORG_{setting.upper()}": value for setting, value in settings.items()}
        return Fleet(self.folder / name, told, ("--topology", self.topology), core=self.server_core)

    def run(self, module: str, *arguments: str) -> Any:
        """The JSON that a module prints which runs for itself on the server's core."""
        command = [sys.executable, "-m", module, *arguments]
        if self.server_core is not None and (taskset := shutil.which("taskset")):
            command = [taskset, "-c", str(self.server_core), *command]
        env = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": ""}
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True)  # noqa: S603 our own modules
        return msgspec.json.decode(done.stdout)


def quiet(process: Process | Fleet, within: float = 15.0) -> None:
    """Waits until a process has nothing left to do."""
    until = time.perf_counter() + within
    while time.perf_counter() < until:
        before = process.cpu()
        time.sleep(0.3)
        if process.cpu() - before <= 0.02:
            return


Measurement = Callable[[House], Any]
