"""A game day: a real fleet on real engines, buyers from outside, and for some minutes whatever may go wrong, at random. `torg chaos` runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from bench.fleet import Fleet
from bench.processes import free_port

from tests.chaos.buyers import PASSWORD, Buyer, Record, administrator
from tests.chaos.fleet import SHOP, Servers
from tests.chaos.kill import go_home, opening_stock
from tests.chaos.oracle import Oracle

SERVERS = ("postgres", "kafka", "redis", "elastic", "mongo", "clickhouse", "toxiproxy")
PROXIED = {"TORG_DB": "postgres", "TORG_REDIS": "redis"}
"""Settings whose engines are reached through the proxy."""
BUYERS = 6
LOOKED_EVERY = 0.5  # seconds between samples
QUIET = (2.0, 8.0)  # seconds between two faults
AGAIN = 90.0  # seconds within which the shop must be ready again
DOUBTS_LAST = 20.0  # seconds: what only time can tell counts as violated after fifteen
PAUSED, TROUBLED = (3.0, 15.0), (2.0, 8.0)  # seconds that a process stands still, and that a network makes trouble
TOXICS: Mapping[str, dict[str, Any]] = {
    "is slow": {"type": "latency", "attributes": {"latency": 300, "jitter": 200}},
    "resets connections": {"type": "reset_peer", "attributes": {"timeout": 50}},
    "swallows everything": {"type": "timeout", "attributes": {"timeout": 0}},
    "cuts answers off": {"type": "limit_data", "attributes": {"bytes": 20_000}},
    "comes in small pieces": {"type": "slicer", "attributes": {"average_size": 64, "size_variation": 32, "delay": 100}},
}


@dataclass(frozen=True)
class Sample:
    """How things stood at a second: orders acknowledged so far, requests so far, and how many of these failed."""

    at: float
    orders: int
    requests: int
    failed: int


@dataclass(frozen=True)
class Fault:
    """What was done from one second to another; `recovered`: seconds until the shop was ready again, counted from the beginning of a kill or from the end of
    anything that lasts."""

    what: str
    began: float
    ended: float
    recovered: float
    sort: str


@dataclass
class Day:
    """What came of it."""

    topology: str
    seed: int
    faults: list[Fault] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    acknowledged: int = 0
    settled_after: float = 0.0

    @property
    def requests(self) -> int:
        return sum(self.counts.values())

    @property
    def failed(self) -> int:
        return self.counts["status 5xx"] + self.counts["unanswered"]

    def lines(self) -> list[str]:
        kills = sorted(fault.recovered for fault in self.faults if fault.sort == "kill") or [0.0]
        share = 100 * self.failed / max(self.requests, 1)
        return [
            f"faults                 {len(self.faults)}: {', '.join(f'{count} {sort}' for sort, count in Counter(f.sort for f in self.faults).most_common())}",
            f"orders acknowledged    {self.acknowledged}; at the end {', '.join(f'{count} {name}' for name, count in sorted(self.orders.items()))}",
            f"requests               {self.requests}, {share:.2f} % of them failed or were not answered ({self.failed / max(len(self.faults), 1):.1f} a fault)",
            f"ready after a kill     {kills[len(kills) // 2]:.2f} s (half of the times), {kills[-1]:.2f} s at most",
            f"all sagas had ended    {self.settled_after:.1f} s after the last order",
            *(f"WRONG: {sentence}" for sentence in self.wrong[:50]),
            f"{len(self.wrong)} things are wrong" if self.wrong else "nothing is wrong",
        ]


async def game_day(minutes: float, topology: str, servers: bool, seed: int, tell: Callable[[str], None]) -> Day:
    """The whole day in a folder that is thrown away; bounded by its minutes, and some more for the count."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        if not servers:
            return await _open(minutes, topology, data, None, seed, tell)
        with Servers.open(SERVERS) as engines:
            tell(f"engines run: {', '.join(engines.places)}")
            return await _open(minutes, topology, data, engines, seed, tell)


async def _open(minutes: float, topology: str, data: Path, engines: Servers | None, seed: int, tell: Callable[[str], None]) -> Day:
    proxy = await Proxy.before(engines) if engines else None
    settings = {**SHOP, **(proxy.settings if proxy else {}), "TORG_DEMO_PASSWORD": PASSWORD, "TORG_DEMO_PRODUCTS": "300"}
    with Fleet(data, settings, ("--topology", topology)) as fleet:
        tell(f"the shop is open: {', '.join(fleet.processes())}")
        return await _GameDay(fleet, engines, proxy, data, Day(topology, seed), Random(seed), tell).run(minutes * 60)


class Proxy:
    """Toxiproxy between the fleet and some of its engines. `settings` lead through it."""

    def __init__(self, api: str, settings: dict[str, str]) -> None:
        self._api, self.settings, self.names = api, settings, list[str]()

    @classmethod
    async def before(cls, engines: Servers) -> Proxy:
        proxy = cls(f"http://127.0.0.1:{engines.places['toxiproxy'].port}", dict(engines.settings))
        for setting, name in PROXIED.items():
            url, port = urlsplit(proxy.settings[setting]), free_port()
            await proxy._ask("POST", "/proxies", {"name": name, "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{url.port}"})
            proxy.settings[setting] = urlunsplit(url._replace(netloc=url.netloc.replace(f":{url.port}", f":{port}")))
            proxy.names.append(name)
        return proxy

    async def trouble(self, name: str, toxic: Mapping[str, Any], seconds: float) -> None:
        """Makes trouble on the way from an engine for a while."""
        await self._ask("POST", f"/proxies/{name}/toxics", {"name": "trouble", "stream": "downstream", **toxic})
        try:
            await asyncio.sleep(seconds)
        finally:
            await self._ask("DELETE", f"/proxies/{name}/toxics/trouble", None)

    async def _ask(self, method: str, path: str, body: object) -> None:
        async with aiohttp.ClientSession() as session, session.request(method, self._api + path, json=body) as answer:
            assert answer.status < 300, (path, answer.status, await answer.text())


@dataclass
class _GameDay:
    fleet: Fleet
    engines: Servers | None
    proxy: Proxy | None
    data: Path
    day: Day
    random: Random
    tell: Callable[[str], None]
    _began: float = 0.0

    async def run(self, seconds: float) -> Day:
        address, day = f"http://127.0.0.1:{self.fleet.port}", self.day
        record = Record(self.data / "promises.ndjson")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as browser:
            admin = await administrator(address, browser, record, self.random)
            opening = await opening_stock(admin)
            people = [Buyer(address, browser, record, list(opening), Random(f"{day.seed}/{number}"), day.counts) for number in range(BUYERS)]
            self._began = time.monotonic()
            living = [asyncio.create_task(person.live()) for person in people]
            sampling = asyncio.create_task(self._sample(record))
            await self._all_faults(seconds, address, living)
            await self._until_ready(address)
            await asyncio.sleep(QUIET[1])
            await go_home(living)
            sampling.cancel()
            day.acknowledged = len(record.promises)
            self.tell(f"{day.acknowledged} orders were acknowledged; now everything is counted")
            await admin.sign_in()
            oracle = Oracle([person for person in people if person.user_id], admin, record, opening, self.data)
            day.wrong = await oracle.faults(DOUBTS_LAST)
            day.settled_after, day.orders = oracle.settled_after, oracle.counts
        record.close()
        return day

    def _now(self) -> float:
        return time.monotonic() - self._began

    async def _sample(self, record: Record) -> None:
        while True:
            self.day.samples.append(Sample(self._now(), len(record.promises), self.day.requests, self.day.failed))
            await asyncio.sleep(LOOKED_EVERY)

    # ---------------------------------------------------------------- faults

    async def _all_faults(self, seconds: float, address: str, living: Sequence[asyncio.Task[None]]) -> None:
        while self._now() < seconds:
            await asyncio.sleep(self.random.uniform(*QUIET))
            for task in living:
                if task.done():
                    task.result()
            sort, what, work = self._draw()
            began = self._now()
            await work()
            ended = self._now()
            await self._until_ready(address)
            recovered = self._now() - (began if sort == "kill" else ended)
            self.day.faults.append(Fault(what, began, ended, recovered, sort))
            self.tell(f"{began:6.1f} s  {what}: ready again after {recovered:.2f} s ({self.day.requests} requests, {self.day.failed} failed)")

    def _draw(self) -> tuple[str, str, Callable[[], Awaitable[None]]]:
        processes = {name: pid for name, pid in self.fleet.processes().items() if name != "supervisor"}
        name = self.random.choice(sorted(processes))
        paused, troubled = self.random.uniform(*PAUSED), self.random.uniform(*TROUBLED)
        sorts = ["kill", "kill", "pause", "rolling restart"] + (["engine", "network", "network"] if self.engines else [])
        match self.random.choice(sorts):
            case "kill":
                return "kill", f"{name} is killed", lambda: self._kill(name, processes[name])
            case "pause":
                return "pause", f"{name} stands still for {paused:.0f} s", lambda: self._pause(processes[name], paused)
            case "rolling restart":
                return "rolling restart", "all processes are replaced, one by one", self._roll
            case "engine":
                return self._draw_engine()
            case _:
                assert self.proxy is not None, "engines are reached through it"
                engine, (does, toxic) = self.random.choice(self.proxy.names), self.random.choice(sorted(TOXICS.items()))
                return "network", f"the network to {engine} {does} for {troubled:.0f} s", lambda: self._trouble(engine, toxic, troubled)

    def _draw_engine(self) -> tuple[str, str, Callable[[], Awaitable[None]]]:
        engines = self.engines
        assert engines is not None, "asked for where there are some"
        name, number = self.random.choice([("postgres", signal.SIGQUIT), ("kafka", signal.SIGKILL), ("redis", signal.SIGKILL)])
        return "engine", f"{name} crashes ({number.name}) and is started again", lambda: engines.crash(name, number)

    async def _kill(self, name: str, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(AGAIN):
            while self.fleet.processes().get(name, pid) == pid:  # noqa: ASYNC110 another process, in earnest
                await asyncio.sleep(0.05)

    async def _pause(self, pid: int, seconds: float) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _roll(self) -> None:
        before = self.fleet.processes()
        os.kill(before["supervisor"], signal.SIGHUP)
        async with asyncio.timeout(AGAIN):
            while any(self.fleet.processes().get(name, pid) == pid for name, pid in before.items() if name != "supervisor"):  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    async def _trouble(self, engine: str, toxic: Mapping[str, Any], seconds: float) -> None:
        assert self.proxy is not None, "engines are reached through it"
        await self.proxy.trouble(engine, toxic, seconds)

    async def _until_ready(self, address: str) -> None:
        async with asyncio.timeout(AGAIN), aiohttp.ClientSession() as session:
            while not await _ready(session, address):  # noqa: ASYNC110 another process, in earnest
                await asyncio.sleep(0.05)


async def _ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/ready", timeout=aiohttp.ClientTimeout(total=3)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
