"""A flood of sign-ins with wrong passwords from many addresses, while people sign in, look around and order."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from bench.buyers import buyers, empty_carts, goods
from bench.buying import percentile
from bench.house import House, quiet
from bench.overload import Burst, Crowd
from bench.wire import Connection, request

SECTION = "Login flood"
FLOOD, ADDRESSES = 1500.0, 300  # sign-ins a second, from so many addresses
FLOOD_OF_MANY = 400.0  # where many processes share the core
SECONDS = 6.0
OTHERS = 100.0  # visitors a second: pages, carts, orders
PEOPLE = 20  # who sign in from where they did before, and as many from elsewhere
COMES_BACK = 2.0  # seconds: what Retry-After says


@dataclass
class Person:
    email: str
    password: str
    seconds: float = float("inf")


@dataclass
class Guesses:
    told: Counter[int] = field(default_factory=Counter)
    sent: int = 0


async def measure(house: House) -> None:
    """Passwords cost what they cost by default."""
    with house.opened("logins") as shop:
        known = [await _person(shop.port, f"127.9.0.{number + 1}") for number in range(house.of(PEOPLE, 3))]
        new = [await _person(shop.port) for _ in range(house.of(PEOPLE, 3))]
        crowd, products = await buyers(shop.port, house.of(48, 8)), await goods(shop.port, 200)
        await empty_carts(crowd)
        others, seconds = Crowd(shop.port, crowd, products), SECONDS if not house.quick else 1.0
        quiet(shop)
        alone = await others.flood(OTHERS, seconds)
        await others.confirm(alone)
        quiet(shop)
        guesses, over = Guesses(), time.perf_counter() + seconds
        flooding = asyncio.ensure_future(_flood(shop.port, house.of(int(FLOOD if house.topology == "all" else FLOOD_OF_MANY), 50), over, guesses))
        meeting = asyncio.ensure_future(others.flood(OTHERS, seconds))
        signing = [_sign_in(shop.port, person, f"127.9.0.{number + 1}", seconds * number / len(known) / 2) for number, person in enumerate(known)]
        signing += [_sign_in(shop.port, person, f"127.9.1.{number + 1}", seconds * number / len(new) / 2) for number, person in enumerate(new)]
        await asyncio.gather(*signing)
        meanwhile = await meeting
        await flooding
        quiet(shop)
        await others.confirm(meanwhile)
    _tell(house, guesses, seconds, alone, meanwhile)
    for name, people in (("from where they did before", known), ("from somewhere new", new)):
        for share in (50, 100):
            house.book.add(SECTION, f"people who sign in {name}: signed in after, p{share}", "s", [percentile([one.seconds for one in people], share)])


def _tell(house: House, guesses: Guesses, seconds: float, alone: Burst, meanwhile: Burst) -> None:
    def add(what: str, unit: str, value: float) -> None:
        house.book.add(SECTION, what, unit, [value])

    add("sign-ins with wrong passwords", "per second", guesses.sent / seconds)
    for status, meaning in ((401, "hashed and refused"), (429, "refused as guessing"), (503, "told to come back")):
        add(f"of them {meaning}", "of sign-ins", guesses.told[status] / max(guesses.sent, 1))
    for name, burst in (("before", alone), ("meanwhile", meanwhile)):
        add(f"others, {name}: answered well", "of requests", sum(shot.good for shot in burst.shots) / max(len(burst.shots), 1))
        add(f"others, {name}: orders confirmed in time", "per second", burst.confirmed / burst.seconds)
        for share in (50, 95):
            add(f"others, {name}: p{share}", "ms", burst.millis(share))


async def _person(port: int, address: str = "") -> Person:
    """Somebody with an account, who has signed in from the address if one is named."""
    person, connection = Person(f"{uuid.uuid4().hex}@bench.example", uuid.uuid4().hex), await Connection.open(port, address)
    await connection.ask("POST", "/users", {"email": person.email, "password": person.password, "full_name": "Bench Person"})
    if address:
        await connection.ask("POST", "/sessions", {"email": person.email, "password": person.password})
    connection.close()
    return person


async def _sign_in(port: int, person: Person, address: str, wait: float) -> None:
    """Tries until it works, as often as the shop asks for."""
    await asyncio.sleep(wait)
    began, connection = time.perf_counter(), await Connection.open(port, address)
    content = request("POST", "/api/v1/sessions", {"email": person.email, "password": person.password})
    while (await connection.send(content)).status != 201:
        if time.perf_counter() - began > 60:
            return
        await asyncio.sleep(COMES_BACK)
    person.seconds = time.perf_counter() - began
    connection.close()


async def _flood(port: int, rate: float, over: float, guesses: Guesses) -> None:
    addresses = [f"127.{10 + number // 200}.{number % 200}.7" for number in range(ADDRESSES)]
    pause = len(addresses) / rate
    await asyncio.gather(*(_guess(port, address, pause, number * pause / len(addresses), over, guesses) for number, address in enumerate(addresses)))


async def _guess(port: int, address: str, pause: float, wait: float, over: float, guesses: Guesses) -> None:
    """One address: another account each time."""
    await asyncio.sleep(wait)
    connection = await Connection.open(port, address)
    due = time.perf_counter()
    while time.perf_counter() < over:
        guesses.sent += 1
        answer = await connection.send(request("POST", "/api/v1/sessions", {"email": f"{uuid.uuid4().hex}@bench.example", "password": uuid.uuid4().hex}))
        guesses.told[answer.status] += 1
        due += pause
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    connection.close()
