"""A flash sale: hundreds of full carts race for a hundred units of one product, while others look around as ever."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter

from bench.buyers import ORDER, Buyer, buyers, empty_carts, goods
from bench.house import House, quiet
from bench.overload import Burst, Crowd
from bench.processes import PASSWORD
from bench.wire import Connection, request

SECTION = "Flash sale"
RACERS, UNITS = 400, 100
OTHERS = 150.0  # requests a second, of people who look at other things; no answer of theirs was kept
BEFORE = 3.0  # seconds
GIVES_UP = 30.0  # seconds
RETRIES = 0.5  # seconds between two tries: less than the shop asks for


async def measure(house: House) -> None:
    """The others alone, then with the race."""
    with house.opened("flash", password_memory_kib="64") as shop:  # noqa: S106 cheap hashes: there are many to make
        units, racers = house.of(UNITS, 5), await buyers(shop.port, house.of(RACERS, 20))
        prize, *products = await goods(shop.port, 200)
        clerk = await _clerk(shop.port, prize, units)
        await empty_carts(racers)
        for racer in racers:
            await racer.connection.ask("PUT", f"/cart/items/{prize}", {"quantity": 1}, racer.token)
        others = Crowd(shop.port, await buyers(shop.port, house.of(48, 8)), products)
        quiet(shop)
        alone = await _looked(others, house.of(int(BEFORE), 1))
        quiet(shop)
        looking = asyncio.ensure_future(_looked(others, house.of(int(BEFORE), 1)))
        began, outcomes = time.perf_counter(), Counter[str]()
        await asyncio.gather(*(_race(racer, outcomes) for racer in racers))
        seconds, meanwhile = time.perf_counter() - began, await looking
        quiet(shop)
        orders = Counter([await _became(racer) for racer in racers])
        left = (await clerk.ask("GET", f"/inventory/{prize}"))["available"]

    def add(what: str, unit: str, value: float, aim: str = "") -> None:
        house.book.add(SECTION, what, unit, [value], aim)

    add(f"{len(racers)} carts for {units} units: orders confirmed", "orders", orders["confirmed"], str(units))
    add("units left", "units", left, "0")
    add("all had their answers after", "s", seconds)
    add("told to come back in a moment", "answers", outcomes["503"])
    for name, burst in (("before", alone), ("meanwhile", meanwhile)):
        add(f"others, {name}: answered well", "of requests", sum(shot.good for shot in burst.shots) / max(len(burst.shots), 1))
        for share in (50, 95):
            add(f"others, {name}: p{share}", "ms", burst.millis(share))
    if wrong := set(outcomes) - {"202", "409", "503"}:
        house.book.remark(f"flash sale: {outcomes} ({', '.join(sorted(wrong))})")


async def _clerk(port: int, product: str, units: int) -> Connection:
    """Of the product there are just so many from now on."""
    connection = await Connection.open(port)
    token = (await connection.ask("POST", "/sessions", {"email": "admin@torg.example", "password": PASSWORD}))["access_token"]
    places = (await connection.ask("GET", f"/inventory/{product}", token=token))["by_warehouse"]
    for number, place in enumerate(places):
        if change := (0 if number else units) - place["available"]:
            moved = {"warehouse_id": place["warehouse_id"], "quantity": change, "reason": "correction"}
            await connection.ask("POST", f"/inventory/{product}/movements", moved, token, uuid.uuid4().hex)
    return connection


async def _race(racer: Buyer, outcomes: Counter[str]) -> None:
    """Orders until told yes or no; whoever is asked to come back does."""
    deadline, key = time.perf_counter() + GIVES_UP, uuid.uuid4().hex
    content = request("POST", "/api/v1/orders", ORDER, [("authorization", f"Bearer {racer.token}"), ("idempotency-key", key)])
    while time.perf_counter() < deadline:
        answer = await racer.connection.send(content)
        outcomes[str(answer.status)] += 1
        if answer.status != 503:
            return
        await asyncio.sleep(RETRIES)


async def _became(racer: Buyer) -> str:
    """What became of the order: nothing, where it was refused."""
    orders = (await racer.connection.ask("GET", "/orders", token=racer.token))["items"]
    return str(orders[0]["status"]) if orders else ""


async def _looked(others: Crowd, seconds: float) -> Burst:
    """People who look at pages and carts, at a fixed rate."""
    burst, acting, number, began = Burst(seconds), set[asyncio.Task[None]](), 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        while number < passed * OTHERS:
            acting.add(asyncio.ensure_future(others.act(number % 14, passed, burst)))
            number += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*acting)
    return burst
