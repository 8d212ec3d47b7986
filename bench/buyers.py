"""Buyers with accounts and full wallets, and what they do: fill a cart, order, wait until the order is confirmed."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bench.wire import Connection, own_load

ADDRESS = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}
ORDER = {"delivery": {"method": "courier", "address": ADDRESS}, "payment": {"method": "balance"}}
POCKET = {"amount": 9_000_000, "currency": "USD"}


@dataclass(frozen=True)
class Buyer:
    """One account on one connection; `number` lets each buy other things."""

    number: int
    connection: Connection
    token: str


@dataclass
class Sales:
    """What a run of orders came to; times in milliseconds. A click is the sending of POST /orders, confirmed the time that the order's log gives."""

    seconds: float = 0.0
    load: float = 0.0
    asked: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    answered: list[float] = field(default_factory=list)
    confirmed: list[float] = field(default_factory=list)


async def buyers(port: int, count: int) -> list[Buyer]:
    """Registers them, signs them in and fills their wallets."""
    made = list[Buyer]()
    for start in range(0, count, 8):
        made += await asyncio.gather(*(_buyer(port, number) for number in range(start, min(start + 8, count))))
    return made


async def _buyer(port: int, number: int) -> Buyer:
    connection, email, password = await Connection.open(port), f"{uuid.uuid4().hex}@bench.example", uuid.uuid4().hex
    await connection.ask("POST", "/users", {"email": email, "password": password, "full_name": "Bench Buyer"})
    token = (await connection.ask("POST", "/sessions", {"email": email, "password": password}))["access_token"]
    await connection.ask("POST", "/wallet/top-ups", {"amount": POCKET}, token, uuid.uuid4().hex)
    return Buyer(number, connection, token)


async def goods(port: int, count: int) -> list[str]:
    """The ids of so many products that are in stock, the most popular first."""
    connection, found, cursor = await Connection.open(port), list[str](), ""
    while len(found) < count:
        page = await connection.ask("GET", f"/products?in_stock=true&limit=100&sort=-popularity{cursor}")
        found += [item["id"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    connection.close()
    return found[:count]


async def fill_carts(crowd: Sequence[Buyer], products: Sequence[str], rounds: int) -> None:
    """Every buyer puts a product into the cart so many times; a cart comes to hold five."""

    async def fill(buyer: Buyer) -> None:
        for turn in range(rounds):
            product = products[(buyer.number * 5 + turn % 5) % len(products)]
            await buyer.connection.ask("PUT", f"/cart/items/{product}", {"quantity": 1 + turn // 5 % 3}, buyer.token)

    await asyncio.gather(*(fill(buyer) for buyer in crowd))


async def empty_carts(crowd: Sequence[Buyer]) -> None:
    await asyncio.gather(*(buyer.connection.ask("DELETE", "/cart", token=buyer.token) for buyer in crowd))


async def order(crowd: Sequence[Buyer], products: Sequence[str], count: int) -> Sales:
    """So many orders of one product each, every buyer going on when the last order is confirmed (or rejected)."""
    sales, numbers = Sales(), iter(range(count))
    began, cpu, usual = time.perf_counter(), time.process_time(), _Usual()

    async def shop(buyer: Buyer) -> None:
        for number in numbers:
            product = products[(number * 7 + buyer.number) % len(products)]
            await buyer.connection.ask("PUT", f"/cart/items/{product}", {"quantity": 1}, buyer.token)
            await _checkout(buyer, sales, usual)

    await asyncio.gather(*(shop(buyer) for buyer in crowd))
    sales.seconds, sales.load = time.perf_counter() - began, own_load(began, cpu)
    return sales


class _Usual:
    """How long orders take to be confirmed these days, so that buyers ask when it is likely: asking too often would be the load."""

    def __init__(self) -> None:
        self.seconds = 0.02

    def learn(self, seconds: float) -> None:
        self.seconds += (seconds - self.seconds) / 16


async def _checkout(buyer: Buyer, sales: Sales, usual: _Usual) -> None:
    clicked, sent = time.time(), time.perf_counter()
    placed = await buyer.connection.ask("POST", "/orders", ORDER, buyer.token, uuid.uuid4().hex, expect=202)
    answered = time.perf_counter() - sent
    sales.answered.append(answered * 1000)
    wait = max(0.002, usual.seconds * 1.25 - answered)
    while True:
        await asyncio.sleep(wait)
        sales.asked += 1
        view = await buyer.connection.ask("GET", f"/orders/{placed['id']}", token=buyer.token)
        if view["status"] in ("confirmed", "rejected"):
            break
        wait = max(0.005, usual.seconds / 3)
    sales.outcomes[view["status"]] += 1
    took = max(answered, datetime.fromisoformat(view["updated_at"]).timestamp() - clicked)  # nobody knows of it before the answer
    usual.learn(took)
    sales.confirmed.append(took * 1000)
