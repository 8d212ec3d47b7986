"""Shops of several processes on real engines: started together, each watched by itself."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from bench.processes import PASSWORD, ROOT, TICKS, DidNotStart, on_core
from torg.engines import run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.ports import free_port

READY = "Torg is ready at"


class Fleet:
    """`torg up` with whatever topology, its processes by name."""

    def __init__(self, data: Path, settings: Mapping[str, str], arguments: Sequence[str], patience: float = 300, core: int | None = None) -> None:
        self.port, self.data = free_port(), data
        own = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        own |= {"PYTHONPATH": str(ROOT / "src"), "TORG_DEMO_PASSWORD": PASSWORD, "TORG_DATA": str(data), "NO_COLOR": "1", "TORG_LIMITS": "false", **settings}
        data.mkdir(parents=True, exist_ok=True)
        self._log = data / "bench.log"
        began = time.perf_counter()
        with self._log.open("w") as log, on_core(core):
            self._process = subprocess.Popen(  # noqa: S603 our own module
                [sys.executable, "-m", "torg", "up", "--port", str(self.port), *arguments], env=own, stdout=log, stderr=log, cwd=ROOT
            )
        self._await(began + patience)
        self.ready = time.perf_counter() - began

    def _await(self, deadline: float) -> None:
        while READY not in self._log.read_text():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                self.stop()
                raise DidNotStart("the shop was not ready; its last words:\n" + "\n".join(self._log.read_text().splitlines()[-12:]))
            time.sleep(0.2)

    def cpu(self) -> float:
        """Seconds of CPU so far, of all its processes."""
        return cpu(self._process.pid)

    def processes(self) -> dict[str, int]:
        """Process ids by what runs in them."""
        found = {"shop": self._process.pid}
        for pid in _children(self._process.pid):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            except OSError:  # it has ended meanwhile
                continue
            if "--name" in words:
                found[words[words.index("--name") + 1]] = pid
        if len(found) > 1:
            found["supervisor"] = found.pop("shop")
        return found

    def ports(self) -> list[int]:
        """Where its processes show their metrics."""
        peers = self.data / "fleet" / "peers.toml"
        if not peers.exists():
            return [self.port]
        addresses = re.findall(r"127[.]0[.]0[.]1:(\d+)", peers.read_text())
        return sorted({int(port) for port in addresses})

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(40)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass
class Engines:
    """Servers that run: the settings that use them, their process ids and places by name."""

    settings: dict[str, str] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


@contextmanager
def engines(names: Sequence[str], folder: Path) -> Iterator[Engines]:
    """Fresh servers."""
    servers = Engines()
    with ExitStack() as ending:
        for name in names:
            engine = named(name)
            place = run.place_of(engine, folder, free_port())
            ending.callback(run.stop, engine, place, _quietly)
            run.start(engine, place, _quietly)
            started = run.running(place)
            assert started is not None, f"{name} answers, so it runs"
            servers.settings |= engine.settings(place)
            servers.pids[name] = started.pid
            servers.places[name] = place
        yield servers


def cpu(pid: int) -> float:
    """Seconds of CPU so far of a process and of all below it, those that have ended included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(cpu(child) for child in _children(pid))


def own_cpu(pid: int) -> float:
    """Seconds of CPU so far of a process alone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> float:
    """Resident megabytes."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _quietly(_: str) -> None: ...
