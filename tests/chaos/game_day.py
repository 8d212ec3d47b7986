"""A game day: real processes on real engines, buyers from outside, and for some minutes whatever may go wrong, in turns. `torg chaos` runs it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import aiohttp

from tests.chaos.backups import restored
from tests.chaos.buyers import CODE, CODES, PASSWORD, Buyer, Person, administrator, clerk, go_home
from tests.chaos.figures import Day, Fault
from tests.chaos.kill import opening_stock
from tests.chaos.logs import complaints, with_stories
from tests.chaos.nemesis import AGAIN, Nemesis, Struck
from tests.chaos.oracle import Oracle
from tests.chaos.proxy import Wires
from tests.chaos.record import Record
from tests.chaos.releases import ADDED, Releases
from tests.chaos.servers import SERVERS, Servers, scratch
from tests.chaos.shop import Held, Shop
from tests.chaos.world import World
from torg import topology

SHOP = {
    "TORG_PASSWORD_MEMORY_KIB": "64", "TORG_CARD_PAYMENT_MINUTES": "0.2", "TORG_SECRET": "a-secret-of-the-chaos", "TORG_LOG_FORMAT": "json",
    "TORG_DEMO_PASSWORD": PASSWORD, "TORG_DEMO_PRODUCTS": "300", "TORG_CARRIER_SECONDS": "1",
}  # fmt: skip
PACE, ON_SERVERS = (0.3, 1.2), (1.0, 3.0)
"""Between how many seconds people think before the next thing: a fleet and its engines on one machine have more to do for each."""
SHORT = 3.0  # minutes of a day that is over soon
QUIET = (1.0, 3.0)  # seconds between two faults


@dataclass(frozen=True)
class Calm:
    """Seconds without faults: until all is as usual, and before the first fault and after the last one, in which throughput is taken; and until what only time
    can tell (it counts as violated after fifteen) is looked at again."""

    warm: float = 8.0
    before: float = 15.0
    after: float = 45.0
    doubts: float = 20.0

    @classmethod
    def of(cls, minutes: float) -> Calm:
        """Less of it on a short day."""
        return cls() if minutes >= SHORT else cls(5.0, 8.0, 25.0, 16.0)


@dataclass(frozen=True)
class Wanted:
    """What to play. `only`: these sorts of faults. `folder`: kept afterwards."""

    minutes: float
    topology: str = "services"
    servers: bool = True
    seed: int = 1
    buyers: int = 24
    only: Sequence[str] = ()
    folder: Path | None = None
    calm: Calm = Calm()


async def game_day(wanted: Wanted, tell: Callable[[str], None]) -> Day:
    """The whole day in an empty folder; bounded by its minutes, and some more for the count."""
    async with AsyncExitStack() as ending:
        folder = wanted.folder or Path(ending.enter_context(scratch()))
        folder.mkdir(parents=True, exist_ok=True)
        world = _world(folder / "world", tell)
        servers = ending.enter_context(Servers.open(SERVERS, True, world.settings if world else None)) if wanted.servers else None
        alone = wanted.topology == "all"
        between = servers if servers or alone else ending.enter_context(Servers.open((), True))
        if servers:
            tell(f"engines run: {', '.join(servers.places)}")
        data = folder / "shop"
        wires = None if alone else Wires(data)
        rehearsed = folder / "failpoints"
        rehearsed.mkdir()
        releases = Releases(folder / "releases")
        settings = {**SHOP, **(servers.settings if servers else {}), **(world.settings if world else {}), "TORG_FAILPOINTS": str(rehearsed)}
        if wires:
            settings["TORG_DISCOVERY"] = wires.discovery
            wires.open([*topology.NAMES, topology.SANDBOX, *topology.read(wanted.topology).processes])
            following = asyncio.create_task(wires.follow())
            ending.callback(following.cancel)
        shop = await ending.enter_async_context(Shop(data, settings, ("--topology", wanted.topology), releases.source))
        tell(f"the shop is open: {', '.join(shop.processes())}")
        nemesis = Nemesis(shop, Random(wanted.seed), rehearsed, releases, servers, world, wires, between.proxies if between else None)
        engines = "server" if wanted.servers else "embedded"
        return await _GameDay(shop, nemesis, wanted, Day(wanted.topology, engines, wanted.seed), tell).run(wanted.minutes * 60)


def _world(folder: Path, tell: Callable[[str], None]) -> World | None:
    try:
        return World(folder)
    except (OSError, subprocess.SubprocessError) as error:
        tell(f"clocks and disks are left alone, since {error}")
        return None


class _GameDay:
    def __init__(self, shop: Shop, nemesis: Nemesis, wanted: Wanted, day: Day, tell: Callable[[str], None]) -> None:
        self.shop, self.nemesis, self.wanted, self.day, self.tell = shop, nemesis, wanted, day, tell
        self.record = Record(shop.data / "told" / "promises.ndjson")
        self.living: list[asyncio.Task[None]] = []
        self.pace = ON_SERVERS if wanted.servers else PACE

    async def run(self, seconds: float) -> Day:
        day, random = self.day, Random(f"{self.wanted.seed}/people")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as self.browser:
            admin = await administrator(self.shop.address, self.browser, self.record, random)
            opening = await opening_stock(admin)
            promo = {"code": CODE, "kind": "percent", "percent": 10, "uses_total": CODES}
            status, told = await admin.insist("POST", "/promo-codes", promo, "the-code-of-the-day")
            assert status == 201, told
            people, staff = self._people(list(opening)), await clerk(self.shop.address, self.browser, self.record, list(opening), random, self.pace)
            day.began = time.monotonic()
            self.living = [asyncio.create_task(person.live()) for person in (*people, staff)]
            await asyncio.sleep(self.wanted.calm.warm)
            held = self.shop.held()
            await asyncio.sleep(self.wanted.calm.before)
            day.before = (self.wanted.calm.warm, self._now())
            self.tell(f"{self._now():6.1f} s  all is as usual; faults begin")
            await self._all_faults(seconds)
            over = self._now()
            await self.nemesis.over()
            await asyncio.sleep(self.wanted.calm.after)
            day.after = (over, self._now())
            await go_home([*people, staff], self.living)
            day.take(self.record)
            self.tell(f"{day.acknowledged} orders were acknowledged; now everything is counted")
            await self._count(people, staff, admin, opening, held)
        self.record.close()
        return day

    def _people(self, products: list[str]) -> list[Buyer]:
        numbers = range(self.wanted.buyers)
        return [
            Buyer(self.shop.address, self.browser, self.record, products, Random(f"{self.wanted.seed}/{number}"), self.day.counts, self.pace)
            for number in numbers
        ]

    def _now(self) -> float:
        return time.monotonic() - self.day.began

    # ---------------------------------------------------------------- faults

    async def _all_faults(self, seconds: float) -> None:
        rounds, until = self.nemesis.rounds(self.wanted.only), self._now() + seconds
        while self._now() < until:
            for task in self.living:
                if task.done():
                    task.result()
            sort, began = next(rounds), self._now()
            try:
                struck = await self.nemesis.strike(sort)
            except TimeoutError:
                struck = Struck(f"a {sort} that was not over after {AGAIN:.0f} s", time.monotonic())
                self.day.wrong.append(f"at {began:.0f} s: {struck.what}")
            self.day.faults.append(fault := await self._recovered(sort, began, struck))
            self.tell(
                f"{began:6.1f} s  {fault.what}: " + ("" if fault.missed else f"recovered after {fault.recovered:.1f} s, {fault.confirmed:.1f} s all the way")
            )
            await asyncio.sleep(self.nemesis.random.uniform(*QUIET))

    async def _recovered(self, sort: str, began: float, struck: Struck) -> Fault:
        """Until all processes are there and an order that was asked for afterwards went all the way."""
        ready = ordered = confirmed = -1.0
        promised, seen = len(self.record.promises), len(self.record.confirmed)
        deadline = time.monotonic() + AGAIN
        while min(ready, ordered, confirmed) < 0 and time.monotonic() < deadline:
            if ready < 0 and self.shop.complete() and await self.shop.ready(self.browser):
                ready = max(time.monotonic() - struck.at, 0)
            while ordered < 0 and promised < len(self.record.promises):
                promise = self.record.promises[promised]
                ordered, promised = promise.told - struck.at if promise.asked >= struck.at else -1.0, promised + 1
            while confirmed < 0 and seen < len(self.record.confirmed):
                asked, at = self.record.confirmed[seen]
                confirmed, seen = at - struck.at if asked >= struck.at else -1.0, seen + 1
            await asyncio.sleep(0.02)
        if min(ready, ordered, confirmed) < 0:
            self.day.wrong.append(
                f"after {struck.what!r} the shop had not recovered after {AGAIN:.0f} s: ready {ready:.1f}, ordered {ordered:.1f}, confirmed {confirmed:.1f}"
            )
        return Fault(sort, struck.what, began, struck.at - self.day.began, ready, ordered, confirmed, missed=struck.missed)

    # ---------------------------------------------------------------- the count

    async def _count(self, people: Sequence[Buyer], staff: Person, admin: Person, opening: dict[str, int], held: dict[str, Held]) -> None:
        day = self.day
        await admin.sign_in()
        arrived = [person for person in people if person.user_id]
        oracle = Oracle(arrived, admin, self.record, opening, self.shop.data, staff.memory.corrected)
        day.wrong += await oracle.faults(self.wanted.calm.doubts)
        day.settled_after, day.orders = oracle.settled_after, oracle.counts
        day.wrong += await self._releases_there()
        day.held = {name: (before, after) for name, after in self.shop.held().items() if (before := held.get(name))}
        day.wrong += [sentence for name, (before, after) in day.held.items() for sentence in _leaks(name, before, after)]
        for backup in self.nemesis.backups:
            day.backups.append(backup.seconds)
            day.wrong += await restored(backup, self.nemesis.servers, arrived, self.record, {**SHOP})
        day.wrong, day.complaints = with_stories(day.wrong, self.shop.log), complaints(self.shop.log)

    async def _releases_there(self) -> list[str]:
        """What each release that was rolled out added is in the records."""
        self.day.releases = len(self.nemesis.rolled)
        return [
            f"release {number} did not bring its table to {context}"
            for number in self.nemesis.rolled
            for context in ADDED
            if not await self.nemesis.has_table(context, Releases.table(number))
        ]


def _leaks(name: str, before: Held, after: Held) -> list[str]:
    """Generous: a process that has been up for long has filled its caches, one that leaks goes beyond any bound."""
    found = []
    if after.files > 2 * before.files + 64:
        found.append(f"LEAK: {name} has {after.files} files open, {before.files} at first")
    if after.threads > before.threads + 24:
        found.append(f"LEAK: {name} has {after.threads} threads, {before.threads} at first")
    if after.memory > 2 * before.memory + 150:
        found.append(f"LEAK: {name} takes {after.memory:.0f} MB, {before.memory:.0f} at first")
    return found
