"""The same shoppers on the same shop in one process, in one process on server engines, and as services: what a request and an order cost in each.

The mix is Online Boutique's (its load generator's weights): front page 1, product page 10, add to cart 2, cart 3, checkout 1; sent at a fixed rate, whatever
the answers do (an open loop), so that all topologies have the same work."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import asyncpg

from bench.buyers import ORDER, Buyer, buyers, goods, order
from bench.buying import figures, percentile
from bench.fleet import Engines, Fleet, cpu, engines, memory, own_cpu
from bench.house import House
from bench.wire import Connection, request

MIX = {"front page": 1, "product page": 10, "add to cart": 2, "cart": 3, "checkout": 1}
SERVERS = ("postgres", "kafka", "redis")
TOPOLOGIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "one process": ((), ()),
    "one process on servers": (SERVERS, ()),
    "services on servers": (SERVERS, ("--topology", "services")),
    "services on servers, two of order and inventory": (SERVERS, ("--topology", "services", "--instances", "order=2,inventory=2")),
}
RATE, SECONDS = 51.0, 30.0  # requests a second (three checkouts), and for how long
ORDERS_RATE, ORDERS_SECONDS = 8.0, 20.0
CROWD = 48
MOST = 600  # orders, as fast as they are taken
COUNTED = {
    "torg_sql_statements_total": "SQL statements on PostgreSQL, each a round trip",
    "torg_sql_transactions_total": "transactions",
    "torg_sql_retries_total": "transactions done anew",
    "torg_messages_total": "messages handled by consumers",
    "torg_rpc_seconds_count": "calls between processes",
}


@dataclass
class Heard:
    """What came of a burst; milliseconds by kind of request."""

    port: int
    times: dict[str, list[float]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, began: float, status: int) -> None:
        self.times.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
        if status >= 400:
            self.wrong[f"{kind}: {status}"] += 1


async def measure(house: House) -> None:
    """One topology after the other, each on fresh engines and a freshly seeded shop."""
    totals = dict[str, float]()
    for name, (servers, arguments) in TOPOLOGIES.items():
        folder = house.folder / re.sub(r"\W+", "-", name)  # Kafka takes a comma for the end of a path
        with engines(servers, folder) as running:
            small = {"TORG_DEMO_PRODUCTS": "300"} if house.quick else {}
            with Fleet(folder, {**running.settings, **small}, arguments) as fleet:
                totals[name] = await _Topology(house, f"Topology: {name}", fleet, running).measure()
    base = totals["one process on servers"]
    times = totals["services on servers"] / base
    house.book.add("Topologies", "a request of the mix: services, as a multiple of one process on servers", "times the CPU", [times], "≤ 3")


@dataclass
class _Topology:
    """One shop on its engines, and the section of the book it is told in."""

    house: House
    section: str
    fleet: Fleet
    engines: Engines

    async def measure(self) -> float:
        """CPU-milliseconds of the shop's own processes for a request of the mix."""
        crowd, products = await buyers(self.fleet.port, self.house.of(CROWD, 8)), await goods(self.fleet.port, 200)
        await _shopping(crowd, products, RATE, 3, self.fleet.port)  # so that nothing is measured for the first time
        await asyncio.sleep(2)
        self._add("ready, seeding included", "seconds", self.fleet.ready)
        own = await self._mix(crowd, products)
        await self._orders(crowd, products)
        await self._most(crowd, products)
        self._add("memory of the shop's processes", "MB resident", sum(memory(pid) for pid in self.fleet.processes().values()))
        return own

    async def _mix(self, crowd: Sequence[Buyer], products: Sequence[str]) -> float:
        before, spent = await self._counted(), _Spent(self.fleet, self.engines.pids)
        heard = await _shopping(crowd, products, RATE, self.house.of(int(SECONDS), 3), self.fleet.port)
        await asyncio.sleep(self.house.of(4, 1))
        count = sum(map(len, heard.times.values()))
        own = self._tell_spent(spent, "request of the mix", count)
        await self._tell_counted(before, "per request of the mix", count)
        for kind, times in sorted(heard.times.items()):
            for share in (50, 95):
                self._add(f"{kind}: p{share}", "ms", percentile(times, share))
        if heard.wrong:
            self.house.book.remark(f"{self.section}: {dict(heard.wrong)}")
        return own

    async def _orders(self, crowd: Sequence[Buyer], products: Sequence[str]) -> None:
        """At a fixed rate."""
        before, told, spent = await self._counted(), await self._told(), _Spent(self.fleet, self.engines.pids)
        heard, pace = Heard(self.fleet.port), _Pace(ORDERS_RATE, self.house.of(int(ORDERS_SECONDS), 2))
        await _paced(pace, lambda number: _order(crowd[number % len(crowd)], products[number % len(products)], heard))
        await asyncio.sleep(self.house.of(5, 1))
        self._tell_spent(spent, "order, cart included", pace.count)
        for share in (50, 95):
            self._add(f"POST /orders answered, p{share}", "ms", percentile(heard.times["checkout"], share))
        await self._tell_counted(before, "per order", pace.count)
        messages, records = ((after - earlier) for after, earlier in zip(await self._told(), told, strict=True))
        if messages:
            self._add("messages told", "per order", messages / pace.count)
        if records:
            self._add("a message on the bus, key, headers and envelope included", "bytes", records / messages)

    async def _most(self, crowd: Sequence[Buyer], products: Sequence[str]) -> None:
        """As fast as they are taken: each buyer orders again as soon as the last order is confirmed."""
        crowd = [replace(buyer, connection=await Connection.open(self.fleet.port)) for buyer in crowd]  # theirs have been idle for too long
        for buyer in crowd:
            await buyer.connection.ask("DELETE", "/cart", token=buyer.token)
        spent = _Spent(self.fleet, self.engines.pids)
        sales = await order(crowd, products, self.house.of(MOST, 16))
        self._add(f"{len(crowd)} buyers, each ordering again at once", "orders/s confirmed", sales.outcomes["confirmed"] / sales.seconds)
        for share in (50, 95):
            self._add(f"click to confirmed, p{share}", "ms", percentile(sales.confirmed, share))
        shares = {name: seconds / sales.seconds for name, seconds in spent.seconds().items()}
        own = sum(share for name, share in shares.items() if not name.endswith("(engine)"))
        self._add("meanwhile at work, of one core: the shop's processes", "cores", own)
        self._add("meanwhile at work: the engines", "cores", sum(shares.values()) - own)
        self._add("meanwhile at work: the buyers", "cores", sales.load)

    def _add(self, name: str, unit: str, value: float) -> None:
        self.house.book.add(self.section, name, unit, [value])

    def _tell_spent(self, spent: _Spent, what: str, count: int) -> float:
        """CPU-milliseconds for each of `count`; what the shop's own processes took in all."""
        millis = {name: seconds * 1000 / count for name, seconds in spent.seconds().items()}
        own = sum(each for name, each in millis.items() if not name.endswith("(engine)"))
        self._add(f"a {what}: the shop's own processes", "CPU-ms", own)
        for name, each in sorted(millis.items(), key=lambda each: -each[1]):
            if each >= 0.005:
                self._add(f"a {what}: {name}", "CPU-ms", each)
        return own

    async def _counted(self) -> dict[str, float]:
        """The metrics of all processes, summed."""
        sums = dict[str, float]()
        for port in self.fleet.ports():
            for name, value in (await figures(port)).items():
                sums[name] = sums.get(name, 0.0) + value
        return sums

    async def _tell_counted(self, before: dict[str, float], unit: str, count: int) -> None:
        after = await self._counted()
        for metric, what in COUNTED.items():
            if (done := after.get(metric, 0) - before.get(metric, 0)) > 0:
                self._add(what, unit, done / count)

    async def _told(self) -> tuple[int, int]:
        """How many rows all logs have, and how many bytes of them the bus has; nothing, where the logs are files."""
        if "postgres" not in self.engines.places:
            return 0, 0
        connection = await asyncpg.connect(self.engines.settings["TORG_DB"])
        try:
            logs = await connection.fetch(
                "select table_schema as context from information_schema.tables where table_name = 'log' and table_type = 'BASE TABLE'"
            )
            rows = sum([await connection.fetchval(f'select count(*) from "{log["context"]}".log') for log in logs])
        finally:
            await connection.close()
        return rows, sum(file.stat().st_size for file in self.engines.places["kafka"].data.glob("log/torg.*/*.log"))


async def _order(buyer: Buyer, product: str, heard: Heard) -> None:
    await _ask(buyer, "add to cart", "PUT", f"/cart/items/{product}", {"quantity": 1}, heard)
    await _ask(buyer, "checkout", "POST", "/orders", ORDER, heard, uuid.uuid4().hex)


async def _shopping(crowd: Sequence[Buyer], products: Sequence[str], rate: float, seconds: float, port: int) -> Heard:
    heard, random, pace = Heard(port), Random(4), _Pace(rate, seconds)  # noqa: S311 shoppers need not be unforeseeable
    kinds = [kind for kind, weight in MIX.items() for _ in range(weight)]

    async def one(number: int) -> None:
        kind, buyer, product = kinds[number % len(kinds)], crowd[number % len(crowd)], random.choice(products)
        if kind in ("front page", "product page"):
            await _page(kind, "/" if kind == "front page" else f"/products/{product}", heard)
        elif kind == "cart":
            await _ask(buyer, kind, "GET", "/cart", None, heard)
        elif kind == "add to cart":
            await _ask(buyer, kind, "PUT", f"/cart/items/{product}", {"quantity": 1}, heard)
        else:
            await _order(buyer, product, heard)

    await _paced(pace, one)
    return heard


async def _page(kind: str, path: str, heard: Heard) -> None:
    await _send(kind, request("GET", path, headers=[("accept", "text/html")]), heard)


async def _ask(buyer: Buyer, kind: str, method: str, path: str, body: object, heard: Heard, key: str = "") -> None:
    headers = [("authorization", f"Bearer {buyer.token}"), *([("idempotency-key", key)] if key else [])]
    await _send(kind, request(method, f"/api/v1{path}", body, headers), heard)


async def _send(kind: str, content: bytes, heard: Heard) -> None:
    began = time.perf_counter()
    connection = await Connection.open(heard.port)  # one carries a request at a time, and a buyer's next may come before the last is answered
    try:
        answer = await connection.send(content)
    finally:
        connection.close()
    heard.note(kind, began, answer.status)


@dataclass
class _Pace:
    rate: float
    seconds: float
    count: int = 0


async def _paced(pace: _Pace, one: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Begins one thing after another at a fixed rate, and waits for all of them."""
    began, tasks = time.perf_counter(), set[asyncio.Task[None]]()
    while (due := began + pace.count / pace.rate) < began + pace.seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.add(asyncio.ensure_future(one(pace.count)))
        pace.count += 1
    await asyncio.gather(*tasks)


class _Spent:
    """CPU by process since it was made."""

    def __init__(self, fleet: Fleet, engine_pids: dict[str, int]) -> None:
        self._fleet, self._engines = fleet, engine_pids
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        own = {name: own_cpu(pid) for name, pid in self._fleet.processes().items()}
        return own | {f"{name} (engine)": cpu(pid) for name, pid in self._engines.items()}

    def seconds(self) -> dict[str, float]:
        return {name: seconds - self._before.get(name, 0) for name, seconds in self._now().items()}
