#!/usr/bin/env python3
"""Kills a fleet's processes and engines, one after the other, while a year's real orders are replayed, and then counts:
python tests/chaos/fleet.py --orders 2000

Starts real engines and a process per context; replays households' baskets through the public API, with buyers beside them who write down what they were
promised. Each process gets SIGKILL in turn; the broker is killed and started again; PostgreSQL is ended as by `-m immediate`; Redis is emptied;
Elasticsearch is away for a while. In the end nothing acknowledged may be lost or doubled, all sagas have ended, the invariants hold, search and reports
have caught up."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "src")]

import aiohttp
from bench.fleet import Fleet

from tests.chaos.buyers import PASSWORD, Buyer, Person, administrator, go_home
from tests.chaos.kill import opening_stock
from tests.chaos.logs import with_stories
from tests.chaos.oracle import ENDED, SOLD, Oracle
from tests.chaos.record import Record
from tests.chaos.servers import SERVERS, Servers
from torg.demo import purchases
from torg.demo.ledger import Ledger
from torg.demo.replay import Plan, Tally, replay

AWAY = 60.0  # seconds without search
BETWEEN = 4.0  # seconds from one fault to the next
DOUBTS_LAST = 20.0  # seconds: what only time can tell counts as violated after fifteen
CAUGHT_UP = 120.0  # seconds within which reports must have counted everything
BUYERS, REPLAYED_BY = 4, 12
NEW: dict[str, Any] = {
    "id": "zeppelin-1", "name": "Walnut zeppelin lamp", "category": "produce.tropical-fruit.bananas", "brand": "Airy",
    "price": {"amount": 4990, "currency": "USD"},
}  # fmt: skip
SHOP = {"TORG_PASSWORD_MEMORY_KIB": "64", "TORG_CARD_PAYMENT_MINUTES": "0.2", "TORG_SECRET": "a-secret-of-the-chaos", "TORG_LOG_FORMAT": "json"}


@dataclass
class Figures:
    """What came of it."""

    faults: list[str] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    orders: Counter[str] = field(default_factory=Counter)
    promised: int = 0
    seconds: float = 0
    settled_after: float = 0
    recovered: list[float] = field(default_factory=list)

    def lines(self) -> list[str]:
        again = sorted(self.recovered) or [0.0]
        return [
            *self.happened,
            f"orders replayed        {self.tally.acknowledged} of {self.tally.baskets} baskets, {self.promised} of other buyers, in {self.seconds:.0f} s",
            f"orders at the end      {', '.join(f'{count} {name}' for name, count in sorted(self.orders.items()))}",
            f"answers again          {again[len(again) // 2]:.2f} s after a process was killed (half of the times), {again[-1]:.2f} s at most",
            f"all sagas had ended    {self.settled_after:.1f} s after the last order",
            *(f"WRONG: {fault}" for fault in self.faults[:50]),
            f"{len(self.faults)} things are wrong" if self.faults else "nothing is wrong",
        ]


async def crash_tests(data: Path, orders: int, tell: Callable[[str], None], seed: int = 1, between: float = BETWEEN, search_away: float = AWAY) -> Figures:
    """The whole test in an empty folder."""
    with Servers.open(SERVERS) as servers:
        tell(f"engines run: {', '.join(servers.places)}")
        with Fleet(data, {**SHOP, **servers.settings, "TORG_DEMO_PASSWORD": PASSWORD}, ("--topology", "services")) as fleet:
            tell(f"the shop is open: {', '.join(fleet.processes())}")
            return await _Crashes(fleet, servers, data, tell, Random(seed), between, search_away).run(orders)


@dataclass
class _Crashes:
    fleet: Fleet
    servers: Servers
    data: Path
    tell: Callable[[str], None]
    random: Random
    between: float
    search_away: float
    figures: Figures = field(default_factory=Figures)
    listed: int = 0
    over: bool = False

    async def _replay(self, orders: int, address: str, ledger: Ledger) -> None:
        """So many baskets of the year, and as many again while faults are still to come."""
        baskets = purchases.purchases()
        while not self.over and (some := list(islice(baskets, orders))):
            await replay(Plan(some, _households(), PASSWORD, "replayed", buyers=REPLAYED_BY), address, ledger, self.figures.tally, self.tell)

    async def run(self, orders: int) -> Figures:
        address, figures = f"http://127.0.0.1:{self.fleet.port}", self.figures
        record = Record(self.data / "promises.ndjson")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as browser:
            admin = await administrator(address, browser, record, self.random)
            opening = await opening_stock(admin)
            self.listed = (await admin.insist("GET", "/products?limit=1"))[1]["total"]
            people = [Buyer(address, browser, record, list(opening), Random(f"crash/{number}"), Counter()) for number in range(BUYERS)]
            began = time.monotonic()
            ledger = Ledger(self.data / "replayed.ndjson")
            living = [asyncio.create_task(person.live()) for person in people]
            replaying = asyncio.create_task(self._replay(orders, address, ledger))
            await self._all_faults(admin, replaying)
            self.over = True
            await go_home(people, living)
            await replaying
            figures.seconds, figures.promised = time.monotonic() - began, len(record.promises)
            self.tell(f"{figures.tally.acknowledged} orders were replayed; now everything is counted")
            await admin.sign_in()
            oracle = Oracle([person for person in people if person.user_id], admin, record, opening, self.data)
            figures.faults += await oracle.faults(DOUBTS_LAST, alone=False)
            figures.settled_after, figures.orders = oracle.settled_after, oracle.counts
            await self._replayed_orders(admin, ledger)
            await self._search(admin)
            await self._reports(admin)
        figures.faults = with_stories(figures.faults, self.data / "bench.log")
        return figures

    async def _all_faults(self, admin: Person, replaying: asyncio.Task[None]) -> None:
        """Every process, and then every engine; a replay that is over too early is no test."""
        for name in [name for name in self.fleet.processes() if name != "supervisor"]:
            await asyncio.sleep(self.between)
            self._still(replaying)
            await self._kill(name, admin)
        engines: dict[str, Callable[[], Awaitable[None]]] = {
            "kafka is killed and started again": lambda: self.servers.crash("kafka", signal.SIGKILL),
            "postgres is ended as by -m immediate and started again": lambda: self.servers.crash("postgres", signal.SIGQUIT),
            "redis is emptied": self._empty_redis,
            f"elastic is away for {self.search_away:.0f} s": lambda: self._without_search(admin),
        }
        for told, fault in engines.items():
            await asyncio.sleep(self.between)
            self._still(replaying)
            began = time.monotonic()
            await fault()
            self._happened(f"{told}: runs again after {time.monotonic() - began:.1f} s")

    def _still(self, replaying: asyncio.Task[None]) -> None:
        if replaying.done():
            replaying.result()
            raise AssertionError("the year was over before all faults had happened")

    async def _kill(self, name: str, admin: Person) -> None:
        before = self.fleet.processes()[name]
        began = time.monotonic()
        os.kill(before, signal.SIGKILL)
        async with asyncio.timeout(60):
            await _when(lambda: self.fleet.processes().get(name, before) != before)
            for _ in range(1000):
                if await self._ready(admin):
                    break
                await asyncio.sleep(0.05)
        self.figures.recovered.append(time.monotonic() - began)
        self._happened(f"{name} was killed; the shop is ready again after {time.monotonic() - began:.2f} s")

    async def _ready(self, admin: Person) -> bool:
        try:
            async with asyncio.timeout(5), aiohttp.ClientSession() as session, session.get(f"{admin.address}/ready") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _without_search(self, admin: Person) -> None:
        """What is new meanwhile is found afterwards."""
        crashing = asyncio.create_task(self.servers.crash("elastic", signal.SIGKILL, self.search_away))
        await asyncio.sleep(self.search_away / 3)
        status, reply = await admin.insist("POST", "/products", NEW, NEW["id"])
        assert status == 201, (status, reply)
        await crashing

    async def _empty_redis(self) -> None:
        import redis.asyncio

        client: redis.asyncio.Redis = redis.asyncio.Redis(port=self.servers.places["redis"].port)
        await client.flushall()
        await client.aclose()

    def _happened(self, told: str) -> None:
        self.figures.happened.append(told)
        self.tell(f"{told} ({self.figures.tally.acknowledged} orders so far)")

    async def _replayed_orders(self, admin: Person, ledger: Ledger) -> None:
        """Each order that the shop acknowledged to the replay is there, once, and has come to an end."""
        found, seen = Counter[str](), set[str]()
        for told in ledger.known.values():
            if told.order_id in seen:
                self.figures.faults.append(f"DOUBLED: order {told.order_id} answers two keys")
            seen.add(told.order_id)
            status, order = await admin.insist("GET", f"/orders/{told.order_id}")
            if status != 200:
                found["lost"] += 1
                self.figures.faults.append(f"LOST: order {told.order_id} was acknowledged to the replay, and is not there ({status})")
            elif order["status"] not in ENDED:
                self.figures.faults.append(f"order {told.order_id} hangs at {order['status']}")
            else:
                found[order["status"]] += 1
        self.figures.orders += found

    async def _search(self, admin: Person) -> None:
        """What is new is found, and everything else still is."""
        deadline, found = time.monotonic() + CAUGHT_UP, list[str]()
        while found != [NEW["id"]] and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            status, page = await admin.insist("GET", "/products?query=zeppelin")
            found = [item["id"] for item in page["items"]] if status == 200 else []
        if found != [NEW["id"]]:
            self.figures.faults.append(f"the search for zeppelin finds {found}, not {NEW['id']}")
        _, page = await admin.insist("GET", "/products?limit=1")
        if page["total"] != self.listed + 1:
            self.figures.faults.append(f"the search finds {page['total']} products, there are {self.listed + 1}")

    async def _reports(self, admin: Person) -> None:
        """Sales are counted once each, late or not."""
        sold = sum(self.figures.orders[status] for status in SOLD)
        deadline, counted = time.monotonic() + CAUGHT_UP, -1
        while counted != sold and time.monotonic() < deadline:
            _, report = await admin.insist("GET", "/analytics/sales?group_by=day")
            counted = sum(row["orders"] for row in report["items"])
            await asyncio.sleep(1)
        if counted != sold:
            self.figures.faults.append(f"the reports count {counted} sales, there were {sold}")


def _households() -> dict[str, purchases.Household]:
    return {household.id: household for household in purchases.households()}


async def _when(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError


def _quietly(_: str) -> None: ...


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--orders", type=int, default=2000, help="how many baskets of the year are replayed")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--between", type=float, default=BETWEEN, help="seconds from one fault to the next")
    arguments.add_argument("--away", type=float, default=AWAY, help="seconds without search")
    arguments.add_argument("--data", type=Path, help="an empty folder to keep afterwards; without it, one that is thrown away")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        folder = given.data or Path(thrown_away)
        figures = asyncio.run(crash_tests(folder, given.orders, lambda line: print(line, flush=True), given.seed, given.between, given.away))
    print("\n".join(figures.lines()), flush=True)
    return 1 if figures.faults or not figures.tally.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
