"""What may happen to the shop, each as it really happens: drawn in turns, done, and undone."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import asyncpg

from tests.chaos.backups import Backup, back_up
from tests.chaos.proxy import TROUBLES, Proxies, Wires
from tests.chaos.releases import Releases
from tests.chaos.servers import Servers
from tests.chaos.shop import MAIN, Shop
from tests.chaos.world import DISKS, World
from torg import topology
from torg.kit import failpoints

SORTS: Final[Mapping[str, str]] = {
    "kill": "SIGKILL at any moment",
    "failpoint": "SIGKILL at a named moment",
    "pause": "SIGSTOP, and later SIGCONT",
    "engine": "an engine crashes and starts again",
    "network": "trouble on the way to an engine",
    "wire": "trouble between two processes",
    "disk": "a disk that is full, fails, or writes half",
    "clock": "a clock an hour off",
    "offsets": "positions of consumers are lost",
    "change": "processes are replaced, also by a release with a migration",
    "acquirer": "the acquirer loses replies, is late, tells twice",
    "backup": "a backup is made",
}
"""Sorts of faults, and what each of them is."""
ROUND: Final = ("failpoint", "kill", "failpoint", "change", "network", "disk", "wire", "failpoint", "engine", "clock", "offsets", "pause", "acquirer", "backup")
"""What a round of faults is made of; each round is shuffled, and in each sort one follows after the other."""
CONSUMERS: Final = ("order", "payment", "inventory", "shipping", "notification", "review", "analytics")
"""Contexts whose stores keep how far their consumers are."""
PAUSED, TROUBLED = (3.0, 12.0), (2.0, 6.0)  # seconds that something lasts
COMES_BY = 12.0  # seconds within which a process must come to a failpoint
AGAIN = 90.0  # seconds within which a process must be back
HOUR = 3600
CRASHES: Final = {
    "postgres": signal.SIGQUIT, "kafka": signal.SIGKILL, "redis": signal.SIGKILL, "elastic": signal.SIGKILL, "mongo": signal.SIGKILL,
    "clickhouse": signal.SIGKILL,
}  # fmt: skip
"""Which signal ends an engine as a crash does; PostgreSQL's is that of `-m immediate`."""
MISBEHAVES: Final[Mapping[str, Mapping[str, Any]]] = {
    "charges, and its replies are lost": {"lost_replies": 5},
    "answers late": {"slow_replies": 3},
    "tells everything twice": {"webhooks_twice": True},
    "tells before it answers": {"webhook_before_reply": True},
    "tells late": {"webhook_delay": 2},
    "tells some things never": {"lost_webhooks": 3},
    "signs wrongly": {"wrong_signatures": 3},
}


@dataclass
class Struck:
    """What was done: `at` is when the trouble began that the shop has to recover from, `lasting` whether that is its end."""

    what: str
    at: float
    missed: bool = False


@dataclass
class Nemesis:
    """Everything that can be done to this shop. `backups` are those that were made, `releases_rolled` how many releases were brought out."""

    shop: Shop
    random: Random
    failpoints: Path
    releases: Releases
    servers: Servers | None = None
    world: World | None = None
    wires: Wires | None = None
    proxies: Proxies | None = None
    backups: list[Backup] = field(default_factory=list)
    rolled: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    _decks: dict[str, list[Any]] = field(default_factory=dict)
    _behind: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._works: Mapping[str, Callable[[], Awaitable[Struck]]] = {
            "kill": self._kill, "failpoint": self._failpoint, "pause": self._pause, "engine": self._engine, "network": self._network, "wire": self._wire,
            "disk": self._disk, "clock": self._clock, "offsets": self._offsets, "change": self._change, "acquirer": self._acquirer, "backup": self._backup,
        }  # fmt: skip

    def possible(self) -> set[str]:
        """The sorts that there can be here."""
        here = set(SORTS)
        if self.servers is None:
            here -= {"engine", "network"}
        if self.wires is None or self.proxies is None:
            here.discard("wire")
        if self.world is None:
            here -= {"disk", "clock"}
        return here

    def rounds(self, only: Sequence[str] = ()) -> Iterator[str]:
        """Sorts of faults without end."""
        here = self.possible()
        fit = [sort for sort in ROUND if sort in here and (not only or sort in only)]
        if not fit:
            raise ValueError(f"none of {', '.join(only)} can be done here; these can: {', '.join(sorted(here))}")
        while True:
            self.random.shuffle(fit)
            yield from fit

    async def strike(self, sort: str) -> Struck:
        """Does one of this sort; returns when it is over."""
        return await self._works[sort]()

    async def over(self) -> None:
        """What goes on beside everything else has ended."""
        if self._behind:
            await asyncio.wait(self._behind)
        for task in self._behind:
            task.result()

    def _next(self, deck: str, cards: Sequence[Any]) -> Any:
        """One after the other, in an order that is drawn."""
        left = self._decks.setdefault(deck, [])
        if not left:
            left += cards
            self.random.shuffle(left)
        return left.pop()

    def _process(self, deck: str, contexts: Sequence[str] = topology.NAMES) -> tuple[str, int]:
        """One that runs just now, of these contexts."""
        running = self.shop.processes()
        fit = [name for name in sorted(running) if name == MAIN or not set(name.split(",")).isdisjoint(contexts)]
        name = self._next(deck, fit)
        return (name, running[name]) if name in running else self._process(deck, contexts)

    # ---------------------------------------------------------------- processes

    async def _kill(self) -> Struck:
        everybody = [*sorted(self.shop.processes()), *(["the supervisor"] if self.shop.supervisor else [])]
        name = self._next("kill", everybody)
        pid = self.shop.supervisor if name == "the supervisor" else self.shop.processes().get(name, 0)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        if name == "the supervisor":
            await self._until(lambda: self.shop.supervisor not in (0, pid))
        else:
            await self.shop.reborn(name, pid, AGAIN)
        return Struck(f"{name} is killed", began)

    async def _failpoint(self) -> Struck:
        """Whoever comes by first dies there."""
        relayed = self.servers is not None
        name = self._next("failpoint", [name for name in failpoints.NAMES if relayed or "publish" not in name])
        file = failpoints.arm(self.failpoints, name)
        before = self.shop.processes()
        until = time.monotonic() + COMES_BY
        while file.exists() and time.monotonic() < until:  # noqa: ASYNC110 another process, in earnest
            await asyncio.sleep(0.01)
        if file.exists():
            file.unlink()
            return Struck(f"nobody came to {name!r}", time.monotonic(), missed=True)
        began = time.monotonic()
        died = max(self.failpoints.glob(f"{failpoints.file_name(name)}.*{failpoints.DIED}"), key=lambda file: file.stat().st_ctime_ns)
        process = died.name.removeprefix(f"{failpoints.file_name(name)}.").removesuffix(failpoints.DIED)
        await self.shop.reborn(process, before[process], AGAIN)
        self.seen.add(name)
        return Struck(f"{process} dies {name!r}", began)

    async def _pause(self) -> Struck:
        name, pid = self._process("pause")
        seconds = self.random.uniform(*PAUSED)
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        return Struck(f"{name} stands still for {seconds:.0f} s", time.monotonic())

    async def _change(self) -> Struck:
        """In turns the same release again, and the next one."""
        if self._next("change", ("release", "again")) == "release":
            number = self.releases.next()
            await self.shop.replace()
            self.rolled.append(number)
            what = f"release {number} is rolled out, with its migrations"
        else:
            await self.shop.replace()
            what = "all processes are replaced" if self.shop.supervisor else "the process is replaced"
        return Struck(what, time.monotonic())

    # ---------------------------------------------------------------- engines and ways

    async def _engine(self) -> Struck:
        assert self.servers is not None, "there are some"
        name = self._next("engine", [name for name in CRASHES if name in self.servers.places])
        await self.servers.crash(name, CRASHES[name])
        return Struck(f"{name} crashes ({CRASHES[name].name}) and is started again", time.monotonic())

    async def _network(self) -> Struck:
        assert self.servers is not None, "there are some"
        assert self.proxies is not None, "and proxies before them"
        name, kind = self._next("network", [name for name in CRASHES if name in self.servers.places]), self._next("trouble", sorted(TROUBLES))
        seconds = self.random.uniform(*TROUBLED)
        async with self.proxies.trouble(name, kind):
            await asyncio.sleep(seconds)
        return Struck(f"the way to {name} {kind} for {seconds:.0f} s", time.monotonic())

    async def _wire(self) -> Struck:
        assert self.wires is not None, "there are several processes"
        assert self.proxies is not None, "and something to stand between them"
        asking = self._next("asking", sorted(self.shop.processes()))
        context = self._next(f"wire {asking}", [each for each in _asked_by(asking) if self.wires.addresses(each)] or ["user"])
        kind, seconds = self._next("wire", sorted(TROUBLES)), self.random.uniform(*TROUBLED)
        async with self.wires.trouble(self.proxies, asking, context, kind):
            await asyncio.sleep(seconds)
        return Struck(f"the way from {asking} to {context} {kind} for {seconds:.0f} s", time.monotonic())

    # ---------------------------------------------------------------- disks, clocks, positions

    async def _disk(self) -> Struck:
        """That of the files that keep something: an engine's, or a process's own."""
        assert self.world is not None, "there is a compiler"
        state, seconds = self._next("disk", sorted(set(DISKS) - {"healthy"})), self.random.uniform(*TROUBLED)
        if self.servers is not None:
            name = self._next("disk of", ["kafka", "postgres"])
            pid = self.servers.pid(name)
        else:
            name, pid = self._process("disk of", CONSUMERS)
        before = self.world.refused(pid)
        self.world.disk(pid, state)
        await asyncio.sleep(seconds)
        self.world.disk(pid, "healthy")
        ended, refused = time.monotonic(), self.world.refused(pid) - before
        if self.servers is not None:
            await self.servers.up(name)
        return Struck(f"the disk of {name} {state} for {seconds:.0f} s ({refused} writes met it)", ended, missed=not refused)

    async def _clock(self) -> Struck:
        assert self.world is not None, "there is a compiler"
        everybody = self.shop.processes()
        ahead, seconds = self._next("ahead", (HOUR, -HOUR)), self.random.uniform(*TROUBLED)
        name = self._next("clock", [*sorted(everybody), *(["the machine"] if len(everybody) > 1 else [])])
        pids = list(everybody.values()) if name == "the machine" else [everybody[name]]
        for pid in pids:
            self.world.clock(pid, ahead)
        await asyncio.sleep(seconds)
        self.world.heal()
        return Struck(f"the clock of {name} is an hour {'ahead' if ahead > 0 else 'behind'} for {seconds:.0f} s", time.monotonic())

    async def _offsets(self) -> Struck:
        """A process dies, and its contexts' stores forget how far their consumers are; or Kafka forgets how far all groups are."""
        if self.servers is not None and self._next("offsets", ("kafka", "store")) == "kafka":
            await self._kafka_forgets()
            return Struck("kafka crashes, and has forgotten all offsets of all groups", time.monotonic())
        running = self.shop.processes()
        context = self._next("forgets", CONSUMERS)
        process = MAIN if MAIN in running else next((name for name in running if context in name.split(",")), context)
        pid, began = running[process], time.monotonic()
        os.kill(pid, signal.SIGKILL)
        lost = await self._forget(context)
        await self.shop.reborn(process, pid, AGAIN)
        return Struck(f"{process} is killed, and {context} has forgotten {lost} positions of consumers", began, missed=not lost)

    async def _forget(self, context: str) -> int:
        if self.servers is None:
            with closing(sqlite3.connect(self.shop.data / context / f"{context}.db", timeout=10, isolation_level=None)) as store:
                return store.execute("delete from consumer_position").rowcount
        connection = await asyncpg.connect(self._directly())
        try:
            told: str = await connection.execute(f'delete from "{context}".consumer_position')
        finally:
            await connection.close()
        return int(told.rpartition(" ")[2])

    async def has_table(self, context: str, name: str) -> bool:
        """Whether a context's records have a table."""
        if self.servers is None:
            with closing(sqlite3.connect(self.shop.data / context / f"{context}.db", timeout=10)) as store:
                return bool(store.execute("select 1 from sqlite_master where name = ?", (name,)).fetchone())
        connection = await asyncpg.connect(self._directly())
        try:
            return bool(await connection.fetchval("select to_regclass($1)", f'"{context}".{name}'))
        finally:
            await connection.close()

    def _directly(self) -> str:
        """PostgreSQL itself, not the proxy before it."""
        from torg.engines.catalogue import named

        assert self.servers is not None, "records are on it"
        return named("postgres").settings(self.servers.places["postgres"])["TORG_DB"]

    async def _kafka_forgets(self) -> None:
        assert self.servers is not None, "it is one of them"
        place = self.servers.places["kafka"]

        async with self.servers.down("kafka", CRASHES["kafka"]):
            for partition in (place.data / "log").glob("__consumer_offsets-*"):
                for file in partition.iterdir():
                    if file.suffix in (".log", ".index", ".timeindex", ".snapshot"):
                        file.unlink()

    # ---------------------------------------------------------------- others

    async def _acquirer(self) -> Struck:
        does, seconds = self._next("acquirer", sorted(MISBEHAVES)), self.random.uniform(*TROUBLED) * 2
        await self._have_acquirer(MISBEHAVES[does])
        await asyncio.sleep(seconds)
        await self._have_acquirer({})
        return Struck(f"the acquirer {does} for {seconds:.0f} s", time.monotonic())

    async def _have_acquirer(self, faults: Mapping[str, Any]) -> None:
        secret = (self.shop.data / "acquirer" / "secret").read_text().strip()
        async with asyncio.timeout(AGAIN), aiohttp.ClientSession(headers={"authorization": f"Bearer {secret}"}) as merchant:
            while True:
                try:
                    async with merchant.put(f"{self.shop.address}/acquirer/faults", json=faults) as answer:
                        if answer.status == 204:
                            return
                        assert answer.status == 503, (answer.status, await answer.text())
                except aiohttp.ClientError:  # it comes back
                    pass
                await asyncio.sleep(0.2)

    async def _backup(self) -> Struck:
        """Goes on beside whatever happens next."""
        number = len(self.backups) + len(self._behind)
        self._behind.add(asyncio.create_task(self._file(number)))
        return Struck("a backup begins, and goes on beside what follows", time.monotonic())

    async def _file(self, number: int) -> None:
        self.backups.append(await back_up(self.shop, self.servers, number))

    async def _until(self, fine: Callable[[], bool]) -> None:
        async with asyncio.timeout(AGAIN):
            while not fine():  # noqa: ASYNC110 other processes, in earnest
                await asyncio.sleep(0.02)


def _asked_by(process: str) -> list[str]:
    """Whom it asks most."""
    asked = [each for context in process.split(",") for each in topology.NEEDS.get(context, ())]
    return asked or ["user", "order", "payment"]
