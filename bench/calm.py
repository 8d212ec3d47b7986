"""Whether visitors notice it: how long pages take while wrong passwords come in, while callers ask five times as much as they may, and while a hundred
instances of another service hang; each in turns with calm, in one run."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain, count

import msgspec

from bench.bare import Page
from bench.buyers import Buyer, buyers, goods
from bench.buying import percentile
from bench.gateway import BODY, PATH, Door
from bench.house import House, quiet
from bench.processes import Bare
from bench.wire import Connection, own_load, request
from torg.kit.ports import free_port

SECTION, BESIDE = "Calm", "Calm, beside slow instances"
ROUNDS, SECONDS = 8, 4.0  # of calm and of each trouble
VISITORS = 100.0  # pages a second, each from an address of its own
POPULAR = 20  # products: their pages are mostly kept from the visit before
GUESSES, GUESSING = 200.0, 300  # sign-ins a second with wrong passwords, from so many addresses
TIMES = 5  # what a limit lets through
PATIENCE = 10.0  # seconds
AIM = "≤ 1.5"


@dataclass
class Noticed:
    """What visitors saw of one kind of time: milliseconds by round, and statuses."""

    rounds: list[list[float]] = field(default_factory=list)
    told: Counter[int] = field(default_factory=Counter)

    def at(self, share: int) -> list[float]:
        return [percentile(one, share) for one in self.rounds]

    def of(self, calm: Noticed, share: int) -> float:
        """How much longer than in calm, over all rounds together: a single one has too few pages that were not kept."""
        return percentile([*chain.from_iterable(self.rounds)], share) / percentile([*chain.from_iterable(calm.rounds)], share)


class Sender:
    """Requests at a fixed rate, whatever becomes of them, each on the next of these connections that is free. Notes how many milliseconds each took."""

    def __init__(self, connections: Sequence[Connection], make: Callable[[int], bytes]) -> None:
        self._free, self._make, self._numbers = list(connections), make, count()
        self.took, self.told = list[float](), Counter[int]()

    async def send(self, rate: float, seconds: float) -> None:
        acting, began, sent = set[asyncio.Task[None]](), time.perf_counter(), 0
        while (passed := time.perf_counter() - began) < seconds:
            while sent < passed * rate and self._free:
                task = asyncio.ensure_future(self._ask(self._free.pop(0)))
                acting.add(task)
                task.add_done_callback(acting.discard)
                sent += 1
            await asyncio.sleep(0.001)
        await asyncio.gather(*acting)

    async def _ask(self, connection: Connection) -> None:
        """Whoever gets no answer leaves; that counts as status 0."""
        began, status = time.perf_counter(), 0
        try:
            async with asyncio.timeout(PATIENCE):
                status = (await connection.send(self._make(next(self._numbers)))).status
        except TimeoutError:
            connection.close()
        else:
            self._free.append(connection)
        self.took.append((time.perf_counter() - began) * 1000)
        self.told[status] += 1

    def read(self) -> tuple[list[float], Counter[int]]:
        """What has come since it was asked last."""
        found = self.took, self.told
        self.took, self.told = [], Counter()
        return found


async def measure(house: House) -> None:
    """Limits are those of the package, passwords cost what they do by default."""
    with house.opened("calm", limits="true") as shop:
        crowd, products = await buyers(shop.port, 3), await goods(shop.port, POPULAR)
        quiet(shop)
        visitors = Sender(await _connections(shop.port, house.of(100, 10), "127.20"), lambda number: _page(number, products))
        guesses = Sender(await _connections(shop.port, house.of(GUESSING, 20), "127.21"), _guess)
        callers = [Sender(await _connections(shop.port, 4, "127.22"), make) for make in _greedy(crowd)]
        asked = [1000 / 60 * TIMES, 500 / 60 * TIMES, 200 / 60 * TIMES, 600 / 60 * TIMES]

        async def ask_too_much(seconds: float) -> None:
            await asyncio.gather(*(caller.send(rate, seconds) for caller, rate in zip(callers, asked, strict=True)))

        troubles: dict[str, Callable[[float], Awaitable[None]]] = {
            "while 200 wrong passwords a second come": lambda seconds: guesses.send(GUESSES, seconds),
            "while callers ask for five times their limits": ask_too_much,
        }
        for caller, rate in zip(callers, asked, strict=True):  # a minute's worth and more: from now on they are refused
            await caller.send(rate * 4, house.of(4, 1))
            caller.read()
        await _in_turns(house, SECTION, visitors, troubles, lambda: quiet(shop))
    _tell(house, SECTION, "wrong passwords", guesses.told)
    _tell(house, SECTION, "callers beyond their limits", sum((caller.told for caller in callers), Counter()))
    await _beside_slow_ones(house)


async def _in_turns(house: House, section: str, visitors: Sender, troubles: dict[str, Callable[[float], Awaitable[None]]], rest: Callable[[], object]) -> None:
    seconds = SECONDS if not house.quick else 0.5
    seen = {name: Noticed() for name in ("calm", *troubles)}
    await visitors.send(VISITORS, seconds)  # so that nothing is measured for the first time
    visitors.read()
    for _ in range(house.of(ROUNDS, 1)):
        for name, noticed in seen.items():
            rest()
            began, cpu = time.perf_counter(), time.process_time()
            trouble = asyncio.ensure_future(troubles[name](seconds)) if name in troubles else None
            await visitors.send(VISITORS, seconds)
            if trouble:
                await trouble
            house.book.mind_load(f"calm, {name}", own_load(began, cpu))
            took, told = visitors.read()
            noticed.rounds.append(took)
            noticed.told.update(told)
    for name, noticed in seen.items():
        good = sum(many for status, many in noticed.told.items() if 0 < status < 400)
        house.book.add(section, f"{name}: visitors answered well", "of pages", [good / max(noticed.told.total(), 1)])
        for share, word in ((50, "median"), (95, "p95")):
            house.book.add(section, f"{name}: {word}", "ms", noticed.at(share))
            if name != "calm":
                house.book.add(section, f"{name}: {word}, of calm", "times", [noticed.of(seen["calm"], share)], AIM)


def _tell(house: House, section: str, what: str, told: Counter[int]) -> None:
    for status, many in sorted(told.items()):
        house.book.add(section, f"{what}: {f'answered {status}' if status else 'left without an answer'}", "of requests", [many / told.total()])


async def _connections(port: int, many: int, network: str) -> list[Connection]:
    return [await Connection.open(port, f"{network}.{number // 200}.{number % 200 + 1}") for number in range(many)]


def _page(number: int, products: Sequence[str]) -> bytes:
    """What somebody looks at who has not signed in; half of it is in English."""
    chance = random.Random(number)  # noqa: S311 the same pages each time
    product = chance.choice(products)
    path = (f"/products/{product}", "/", f"/catalog?q=milk&page={chance.randint(1, 3)}", f"/api/v1/products/{product}")
    return request("GET", path[number % 4], headers=[("accept-language", "en" if number // 4 % 2 else "ru")])


def _guess(_: int) -> bytes:
    return request("POST", "/api/v1/sessions", {"email": f"{uuid.uuid4().hex}@bench.example", "password": uuid.uuid4().hex})


def _greedy(crowd: Sequence[Buyer]) -> list[Callable[[int], bytes]]:
    def ask(path: str, buyer: Buyer) -> Callable[[int], bytes]:
        return lambda _: request("GET", f"/api/v1{path}", headers=[("authorization", f"Bearer {buyer.token}")])

    return [ask("/cart", crowd[0]), ask("/products?limit=10", crowd[1]), ask("/orders", crowd[2]), _guess]


# ---------------------------------------------------------------- a hundred instances that hang

HANGING = 100
ASKED = "/api/v1/reviews/mine"  # of the service that hangs; nobody answers it
SLOW_RATE = 50.0  # requests a second to it
AT_ONCE = 100.0  # milliseconds


class _Hanging(asyncio.Protocol):
    """Takes what comes and says nothing."""


async def _beside_slow_ones(house: House) -> None:
    """A gateway in front of one service that is well and of another one whose instances all hang."""
    file, port = house.folder / "calm-pages.json", free_port()
    file.write_bytes(msgspec.json.encode({PATH: Page(200, [("content-type", "application/json")], b64encode(BODY).decode())}))
    hosts = [f"127.30.0.{number + 1}" for number in range(house.of(HANGING, 4))]
    async with AsyncExitStack() as stack:
        for host in hosts:
            server = await asyncio.get_running_loop().create_server(_Hanging, host, port)
            stack.callback(server.close)
        service = stack.enter_context(Bare(file, house.server_core))
        door = stack.enter_context(Door(service.port, house.server_core, *(f"{host}:{port}" for host in hosts)))
        visitors = Sender(await _connections(door.port, house.of(100, 10), "127.20"), lambda _: request("GET", PATH))
        slow = Sender(await _connections(door.port, house.of(400, 40), "127.23"), lambda _: request("GET", ASKED))
        name = "while the hundred instances of another service hang"
        await _in_turns(house, BESIDE, visitors, {name: lambda seconds: slow.send(SLOW_RATE, seconds)}, lambda: None)
    _tell(house, BESIDE, "what was asked of those that hang", slow.told)
    at_once = sum(took < AT_ONCE for took in slow.took) / len(slow.took)
    house.book.add(BESIDE, "what was asked of those that hang: refused at once, as breakers were open", "of requests", [at_once])
    house.book.add(BESIDE, "what was asked of those that hang: answered after, at most", "ms", [max(slow.took)])
