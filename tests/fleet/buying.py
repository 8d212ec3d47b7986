"""Buyers who order one thing after the other, and note what they were told."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import aiohttp

from tests.test_up import SMALL

ADDRESS = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}
PRODUCTS = 8  # of each buyer
ORDER = {"delivery": {"method": "courier", "address": ADDRESS}, "payment": {"method": "balance"}}


@dataclass
class Buyer:
    """Orders one thing after the other, each with a new key, and notes what it was told: an order's id, a status, or that no answer came."""

    address: str
    browser: aiohttp.ClientSession
    products: Sequence[str] = ()  # theirs alone, in turn: none is sold out by those who buy for long
    email: str = field(default_factory=lambda: f"{uuid.uuid4().hex}@buyers.torg.example")
    token: str = ""
    acknowledged: list[str] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any, Any]:
        signed = {"authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.browser.request(method, f"{self.address}/api/v1{path}", json=body, headers={**signed, **headers}) as reply:
            return reply.status, await reply.json(content_type=None), reply.headers

    async def arrive(self) -> None:
        person = {"email": self.email, "password": SMALL["TORG_DEMO_PASSWORD"]}
        assert (await self.ask("POST", "/users", {**person, "full_name": "Anna Petrova"}))[0] == 201
        await self.sign_in()
        money = {"amount": {"amount": 9_000_000, "currency": "USD"}}
        assert (await self.ask("POST", "/wallet/top-ups", money, **{"idempotency-key": uuid.uuid4().hex}))[0] == 201

    async def sign_in(self) -> None:
        self.token = ""
        _, session, _ = await self.ask("POST", "/sessions", {"email": self.email, "password": SMALL["TORG_DEMO_PASSWORD"]})
        self.token = session["access_token"]

    async def buy(self) -> None:
        """Until the shop is gone."""
        for product in cycle(self.products):
            try:
                status, _, headers = await self.ask("PUT", f"/cart/items/{product}", {"quantity": 1})
                self._note("cart", status, headers)
                if status == 200:
                    status, order, headers = await self.ask("POST", "/orders", ORDER, **{"idempotency-key": uuid.uuid4().hex})
                    self._note("order", status, headers)
                    if status == 202:
                        self.acknowledged.append(order["id"])
            except aiohttp.ClientConnectorError:
                return
            except aiohttp.ClientError as error:
                self.told[type(error).__name__] += 1

    def _note(self, what: str, status: int, headers: Any) -> None:
        clean = status < 500 or (status == 503 and "retry-after" in {name.lower() for name in headers})
        self.told[f"{what} {status}" if clean else f"FAULT {what} {status}"] += 1

    async def orders(self) -> list[str]:
        found, cursor = list[str](), ""
        while True:
            _, page, _ = await self.ask("GET", f"/orders?limit=100&cursor={cursor}")
            found += [order["id"] for order in page["items"]]
            cursor = page["next_cursor"]
            if not cursor:
                return found


async def crowd(browser: aiohttp.ClientSession, address: str, count: int) -> list[Buyer]:
    """Each with an account, a full wallet, and products of their own."""
    async with browser.get(f"{address}/api/v1/products?in_stock=true&limit={count * PRODUCTS}") as reply:
        products = [item["id"] for item in (await reply.json())["items"]]
    buyers = [Buyer(address, browser, products[number::count]) for number in range(count)]
    for buyer in buyers:
        await buyer.arrive()
    return buyers
