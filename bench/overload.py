"""More buyers than the shop can serve: what it still gets done at twice and at five times its capacity, and how soon it is well again.

The mix is that of `bench.topologies`, by people who are signed in, so that no answer was kept. Capacity is what buyers get who each wait for their
answers (a closed loop); the flood is an open loop: people come at a fixed rate, whatever the answers do, and leave after PATIENCE. A checkout is two
requests, of which the second is not sent where the first was refused; it counts as good when its order was confirmed within PATIENCE of the click,
as the order's log tells."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bench.buyers import ORDER, Buyer, buyers, empty_carts, goods
from bench.buying import percentile
from bench.house import House, quiet
from bench.wire import Answer, Connection, own_load, request

SECTION = "Overload"
KINDS = ("product page",) * 5 + ("cart",) * 2 + ("add to cart",) + ("product page",) * 5 + ("cart", "add to cart", "front page", "checkout")
REQUESTS = (len(KINDS) + KINDS.count("checkout")) / len(KINDS)  # for each visitor: a checkout fills its cart first
PATIENCE = 2.0  # seconds
CROWD, CLOSED = 400, 48  # accounts; of them those who shop while capacity is found
MOST = 900  # connections: a process may open 1024 files unless it asks for more
STEP = 0.25  # seconds over which it is looked whether the shop is well again
WELL = 0.95  # of what is asked
EASY = 0.6  # of capacity, once the flood is over
TIMED_OUT = 0


@dataclass(frozen=True)
class Shot:
    """One request; `at` is the second of the burst in which it was due, `status` 0 says that the buyer left before an answer came."""

    kind: str
    at: float
    status: int
    millis: float
    waits: bool = False

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Burst:
    seconds: float
    load: float = 0.0
    shots: list[Shot] = field(default_factory=list)
    orders: dict[str, tuple[Buyer, float]] = field(default_factory=dict)
    confirmed: int = 0

    @property
    def goodput(self) -> float:
        """Good answers a second."""
        return sum(shot.good for shot in self.shots) / self.seconds

    def millis(self, share: int) -> float:
        return percentile([shot.millis for shot in self.shots if shot.good] or [0.0], share)


class Crowd:
    """Buyers who may each do one thing at a time, and connections, opened as they are needed."""

    def __init__(self, port: int, crowd: Sequence[Buyer], products: Sequence[str]) -> None:
        self.port, self.buyers, self.products = port, deque(crowd), products
        self._free, self._open = list[Connection](), 0

    async def act(self, number: int, at: float, burst: Burst) -> None:
        """One visitor does what is next in the mix."""
        kind, buyer, product = KINDS[number % len(KINDS)], self.buyers[0], self.products[number * 7 % len(self.products)]
        self.buyers.rotate(1)
        if kind == "product page":
            await self.shoot(kind, at, burst, _page(f"/products/{product}", buyer))
        elif kind == "front page":
            await self.shoot(kind, at, burst, _page("/", buyer))
        elif kind == "cart":
            await self.shoot(kind, at, burst, _call("GET", "/cart", buyer))
        elif kind == "add to cart":
            await self.shoot(kind, at, burst, _call("PUT", f"/cart/items/{product}", buyer, {"quantity": 1}))
        else:
            await self._check_out(at, burst, buyer, product)

    async def _check_out(self, at: float, burst: Burst, buyer: Buyer, product: str) -> None:
        filled = await self.shoot("add to cart", at, burst, _call("PUT", f"/cart/items/{product}", buyer, {"quantity": 1}))
        if filled is None or filled.status != 200:
            return
        clicked = time.time()
        placed = await self.shoot("checkout", at, burst, _call("POST", "/orders", buyer, ORDER, uuid.uuid4().hex))
        if placed and placed.status == 202:
            burst.orders[placed.json()["id"]] = buyer, clicked

    async def shoot(self, kind: str, at: float, burst: Burst, content: bytes) -> Answer | None:
        """Sends a request; None after PATIENCE, or where no connection is to be had."""
        began = time.perf_counter()
        answer = await self._send(content)
        waits = answer is not None and b"retry-after:" in answer.head.lower()
        burst.shots.append(Shot(kind, at, answer.status if answer else TIMED_OUT, (time.perf_counter() - began) * 1000, waits))
        return answer

    async def _send(self, content: bytes) -> Answer | None:
        if not self._free and self._open >= MOST:
            return None
        self._open += not self._free
        connection = self._free.pop() if self._free else None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = connection or await Connection.open(self.port)
                answer = await connection.send(content)
        except (TimeoutError, ConnectionError):
            self._open -= 1
            if connection:
                connection.close()
            return None
        self._free.append(connection)
        return answer

    async def flood(self, rate: float, seconds: float) -> Burst:
        """People who come at a fixed rate, whatever becomes of those before them."""
        burst, number, acting, began, cpu = Burst(seconds), 0, set[asyncio.Task[None]](), time.perf_counter(), time.process_time()
        while (passed := time.perf_counter() - began) < seconds:
            while number < passed * rate:
                task = asyncio.ensure_future(self.act(number, number / rate, burst))
                acting.add(task)
                task.add_done_callback(acting.discard)
                number += 1
            await asyncio.sleep(0.002)
        burst.load = own_load(began, cpu)
        await asyncio.gather(*acting)
        return burst

    async def shop(self, seconds: float) -> Burst:
        """CLOSED buyers, each of whom goes on when the last answer is there."""
        burst, began, cpu = Burst(seconds), time.perf_counter(), time.process_time()

        async def one(number: int) -> None:
            while time.perf_counter() - began < seconds:
                await self.act(number, 0, burst)
                number += 5

        await asyncio.gather(*(one(number) for number in range(CLOSED)))
        burst.seconds, burst.load = time.perf_counter() - began, own_load(began, cpu)
        return burst

    async def confirm(self, burst: Burst) -> None:
        """Counts the orders that were confirmed while their buyers still waited."""
        connection = await Connection.open(self.port)
        for id, (buyer, clicked) in burst.orders.items():
            view = await connection.ask("GET", f"/orders/{id}", token=buyer.token)
            burst.confirmed += view["status"] == "confirmed" and datetime.fromisoformat(view["updated_at"]).timestamp() - clicked <= PATIENCE
        connection.close()


def _page(path: str, buyer: Buyer) -> bytes:
    return request("GET", path, headers=[("cookie", f"session={buyer.token}"), ("accept-language", "en")])


def _call(method: str, path: str, buyer: Buyer, body: object = None, key: str = "") -> bytes:
    return request(method, f"/api/v1{path}", body, [("authorization", f"Bearer {buyer.token}"), *([("idempotency-key", key)] if key else [])])


async def measure(house: House) -> None:
    """Capacity, that much, twice, five times, and as much as is easy again: one after the other on the same shop."""
    with house.opened("overload", password_memory_kib="64") as shop:  # noqa: S106 cheap hashes: there are many to make
        people, products = await buyers(shop.port, house.of(CROWD, 8)), await goods(shop.port, 200)
        await empty_carts(people)
        crowd, seconds = Crowd(shop.port, people, products), house.of(5, 1)
        await crowd.shop(seconds / 2)  # so that nothing is measured for the first time
        quiet(shop)
        base = await crowd.shop(seconds)
        quiet(shop)
        await crowd.confirm(base)
        _tell(house, "closed loop", base, base)
        for times in (0.9, 1, 2):
            burst = await crowd.flood(base.goodput * times / REQUESTS, seconds)
            quiet(shop)
            await crowd.confirm(burst)
            _tell(house, f"× {times:g}", burst, base)
        flooding = asyncio.ensure_future(crowd.flood(base.goodput * 5 / REQUESTS, seconds))
        await asyncio.sleep(seconds)
        after, burst = await crowd.flood(base.goodput * EASY / REQUESTS, seconds), await flooding
        quiet(shop)
        await crowd.confirm(burst)
        _tell(house, "× 5", burst, base)
        house.book.add(SECTION, f"after the flood, at × {EASY}: {WELL:.0%} answered again after", "s", [_recovered(after)])
        house.book.add(SECTION, f"after the flood, at × {EASY}: answered well", "of requests", [sum(shot.good for shot in after.shots) / len(after.shots)])


def _tell(house: House, name: str, burst: Burst, base: Burst) -> None:
    def add(what: str, unit: str, value: float) -> None:
        house.book.add(SECTION, f"{name}: {what}", unit, [value])

    house.book.mind_load(f"overload, {name}", burst.load)
    statuses, sent = Counter(shot.status for shot in burst.shots), max(len(burst.shots), 1)
    add("requests sent", "per second", sent / burst.seconds)
    add("answered well", "per second", burst.goodput)
    add("answered well", "of capacity", burst.goodput / base.goodput)
    add("orders confirmed in time", "per second", burst.confirmed / burst.seconds)
    add("orders confirmed in time", "of capacity", burst.confirmed / burst.seconds / max(base.confirmed / base.seconds, 1e-9))
    add("refused with Retry-After", "of requests", sum(shot.waits and shot.status in (429, 503) for shot in burst.shots) / sent)
    add("given up after two seconds", "of requests", statuses[TIMED_OUT] / sent)
    for share in (50, 95):
        add(f"answered well, p{share}", "ms", burst.millis(share))
    if wrong := {status: count for status, count in statuses.items() if status not in (TIMED_OUT, 503) and status >= 400}:
        house.book.remark(f"overload, {name}: {wrong}")


def _recovered(burst: Burst) -> float:
    """Seconds until the first step begins in which WELL of what is asked is answered well."""
    steps = dict[int, list[bool]]()
    for shot in burst.shots:
        steps.setdefault(int(shot.at / STEP), []).append(shot.good)
    return next((number * STEP for number in sorted(steps) if sum(steps[number]) >= WELL * len(steps[number])), burst.seconds)
