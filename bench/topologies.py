"""The same shoppers on the same shop in one process, in one process on server engines, and as services: what a request and an order cost in each.

The mix is Online Boutique's (its load generator's weights): front page 1, product page 10, add to cart 2, cart 3, checkout 1; sent at a fixed rate, whatever
the answers do (an open loop), so that all topologies have the same work."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.buyers import ORDER, Buyer, buyers, goods
from bench.buying import figures, percentile
from bench.fleet import Fleet, cpu, engines, memory, own_cpu
from bench.house import House
from bench.wire import Connection, request

MIX = {"front page": 1, "product page": 10, "add to cart": 2, "cart": 3, "checkout": 1}
SERVERS = ("postgres", "kafka", "redis")
TOPOLOGIES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "one process": ((), ()),
    "one process on servers": (SERVERS, ()),
    "services on servers": (SERVERS, ("--topology", "services")),
}
RATE, SECONDS = 51.0, 30.0  # requests a second (three checkouts), and for how long
ORDERS_RATE, ORDERS_SECONDS = 8.0, 20.0
CROWD = 48


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
        folder = house.folder / name.replace(" ", "-")
        with engines(servers, folder) as (settings, pids):
            small = {"TORG_DEMO_PRODUCTS": "300"} if house.quick else {}
            with Fleet(folder, {**settings, **small}, arguments) as fleet:
                totals[name] = await _one(house, name, fleet, pids)
    base = totals["one process on servers"]
    times = totals["services on servers"] / base
    house.book.add("Topologies", "a request of the mix: services, as a multiple of one process on servers", "times the CPU", [times], "≤ 3")


async def _one(house: House, name: str, fleet: Fleet, engine_pids: dict[str, int]) -> float:
    add, section = house.book.add, f"Topology: {name}"
    crowd, products = await buyers(fleet.port, house.of(CROWD, 8)), await goods(fleet.port, 200)
    seconds, rate = house.of(int(SECONDS), 3), RATE
    await _shopping(crowd, products, rate, 3, fleet.port)  # so that nothing is measured for the first time
    await asyncio.sleep(2)
    add(section, "ready, seeding included", "seconds", [fleet.ready])
    spent = _Spent(fleet, engine_pids)
    heard = await _shopping(crowd, products, rate, seconds, fleet.port)
    await asyncio.sleep(house.of(4, 1))
    count = sum(map(len, heard.times.values()))
    own = spent.tell(house, section, "request of the mix", count)
    for kind, times in sorted(heard.times.items()):
        add(section, f"{kind}: p50", "ms", [percentile(times, 50)])
        add(section, f"{kind}: p95", "ms", [percentile(times, 95)])
    await _orders(house, section, fleet, engine_pids, crowd, products)
    add(section, "memory of the shop's processes", "MB resident", [sum(memory(pid) for pid in fleet.processes().values())])
    if heard.wrong:
        house.book.remark(f"{name}: {dict(heard.wrong)}")
    return own


async def _orders(house: House, section: str, fleet: Fleet, engine_pids: dict[str, int], crowd: Sequence[Buyer], products: Sequence[str]) -> None:
    before, spent = await _sums(fleet), _Spent(fleet, engine_pids)
    heard, pace = Heard(fleet.port), _Pace(ORDERS_RATE, house.of(int(ORDERS_SECONDS), 2))
    await _paced(pace, lambda number: _order(crowd[number % len(crowd)], products[number % len(products)], heard))
    await asyncio.sleep(house.of(5, 1))
    after, count = await _sums(fleet), pace.count
    spent.tell(house, section, "order, cart included", count)
    for share in (50, 95):
        house.book.add(section, f"POST /orders answered, p{share}", "ms", [percentile(heard.times["checkout"], share)])
    for what, metric in (
        ("SQL statements on PostgreSQL", "torg_sql_statements_total"),
        ("transactions", "torg_sql_transactions_total"),
        ("transactions done anew", "torg_sql_retries_total"),
        ("messages handled by consumers", "torg_messages_total"),
        ("calls between processes", "torg_rpc_calls_total"),
    ):
        if (done := after.get(metric, 0) - before.get(metric, 0)) > 0:
            house.book.add(section, what, "per order", [done / count])


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

    def tell(self, house: House, section: str, what: str, count: int) -> float:
        """Writes CPU-milliseconds for each of `count` into the book; what the shop's own processes took in all."""
        spent = {name: (seconds - self._before.get(name, 0)) * 1000 / count for name, seconds in self._now().items()}
        own = sum(millis for name, millis in spent.items() if not name.endswith("(engine)"))
        house.book.add(section, f"a {what}: the shop's own processes", "CPU-ms", [own])
        for name, millis in sorted(spent.items(), key=lambda each: -each[1]):
            if millis >= 0.005:
                house.book.add(section, f"a {what}: {name}", "CPU-ms", [millis])
        return own


async def _sums(fleet: Fleet) -> dict[str, float]:
    sums = dict[str, float]()
    for port in fleet.ports():
        for name, value in (await figures(port)).items():
            sums[name] = sums.get(name, 0.0) + value
    return sums
