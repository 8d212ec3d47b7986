"""The engines of a fleet: fresh ones, which can be crashed and started again, each behind a proxy that can make trouble."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tests.chaos.proxy import Proxies
from torg.engines import kafka, processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.ports import free_port
from torg.kit.testing.engines import open_folder

SERVERS = ("postgres", "kafka", "redis", "elastic", "mongo", "clickhouse")
WITH_BAD_DISKS = ("postgres", "kafka")
"""Those that the library of world.py is loaded into."""
WAKES = 20.0  # seconds for which a server that runs may not answer


@dataclass
class Servers:
    """`settings` lead to them, through the proxies where there are any."""

    settings: dict[str, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    proxies: Proxies | None = None
    _world: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, names: Sequence[str], proxied: bool = False, world: Mapping[str, str] | None = None) -> Iterator[Servers]:
        """`world` is the environment that loads a library into some of them."""
        with ExitStack() as ending:
            folder = ending.enter_context(open_folder())
            servers = cls(_world=world or {})
            if proxied:
                place = servers._start("toxiproxy", folder, ending)
                servers.proxies = Proxies(f"http://127.0.0.1:{place.port}")
            for name in names:
                servers._start(name, folder, ending)
            yield servers

    def _start(self, name: str, folder: Path, ending: ExitStack) -> Place:
        place = run.place_of(named(name), folder, free_port())
        self.places[name] = place
        ending.callback(run.stop, named(name), place, _quietly)
        if self.proxies is None:
            self._again(name)
            self.settings |= named(name).settings(place)
            return place
        port = self.proxies.before(name, place.port)
        if name == "kafka":
            kafka.advertise(place, port)
        self._again(name)
        for setting, url in named(name).settings(place).items():
            parts = urlsplit(url)
            self.settings[setting] = urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{place.port}", f":{port}")))
        return place

    def pid(self, name: str) -> int:
        """The process that serves."""
        started = run.running(self.places[name])
        assert started is not None, f"{name} runs"
        return started.pid

    async def crash(self, name: str, number: signal.Signals, away: float = 0) -> None:
        """Ends an engine by a signal, and starts it again when it was away for so long."""
        async with self.down(name, number):
            await asyncio.sleep(away)

    @asynccontextmanager
    async def down(self, name: str, number: signal.Signals) -> AsyncIterator[None]:
        """Ends it by a signal; it is started again after the block."""
        place = self.places[name]
        os.kill(self.pid(name), number)
        async with asyncio.timeout(60):
            while run.running(place):  # noqa: ASYNC110 another process, in earnest
                await asyncio.sleep(0.05)
        try:
            yield
        finally:
            await self.up(name)

    async def up(self, name: str) -> None:
        """Has it run, whatever became of it."""
        await asyncio.to_thread(self._again, name)

    def _again(self, name: str) -> None:
        if (started := run.running(self.places[name])) and not _wakes(name, self.places[name]):
            _put_down(started.pid)
        with _environment(self._world if name in WITH_BAD_DISKS else {}):
            run.start(named(name), self.places[name], _quietly)


def _wakes(name: str, place: Place) -> bool:
    """Whether a server that runs answers again. PostgreSQL 18 waits for ever where its disk fails once more while it recovers."""
    until = time.monotonic() + WAKES
    while named(name).fault(place):
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True


def _put_down(pid: int) -> None:
    """Ends a server with all its children, as whoever watches over it does when it hangs."""
    family = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    known = {one: processes.mark(one) for one in family}
    for one in family:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    for one, mark in known.items():
        processes.gone(one, mark, 10)


@contextmanager
def _environment(more: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _quietly(_: str) -> None: ...


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder that engines' users may enter."""
    folder = tempfile.TemporaryDirectory(prefix="torg-chaos-")
    Path(folder.name).chmod(0o755)
    return folder
