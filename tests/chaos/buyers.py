"""Buyers who go on buying while the shop dies around them, and write down what they were promised."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import msgspec

PASSWORD = "Kettle-Harbour-42"
POCKET = 5_000_000  # minor units
TO_MOSCOW = {"method": "courier", "address": {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}}
GOOD_CARD = {"decision": "pay", "number": "4242 4242 4242 4242", "expiry": "12/30", "code": "123"}
PATIENCE = 0.1  # seconds between two tries
AWAY = (aiohttp.ClientError, OSError, TimeoutError)


class Promise(msgspec.Struct, frozen=True):
    """An order that the shop acknowledged."""

    key: str
    order_id: str
    user_id: str
    product_id: str
    quantity: int
    total: int
    method: str


class Record:
    """What was promised: on the disk before the buyer goes on, so that the record itself survives anything the shop survives."""

    def __init__(self, file: Path) -> None:
        self.promises: list[Promise] = []
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("ab")

    def close(self) -> None:
        self._file.close()

    def write(self, promise: Promise) -> None:
        self._file.write(msgspec.json.encode(promise) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.promises.append(promise)


async def administrator(address: str, browser: aiohttp.ClientSession, record: Record, random: Random) -> Buyer:
    """The one of the demonstration, signed in."""
    admin = Buyer(address, browser, record, [], random, Counter())
    admin.email = "admin@torg.example"
    await admin.sign_in()
    return admin


class Buyer:
    """Buys one thing after the other; `keys` are all orders ever asked for, `cancelled` those whose cancellation was accepted."""

    def __init__(self, address: str, browser: aiohttp.ClientSession, record: Record, products: list[str], random: Random, counts: Counter[str]) -> None:
        self.address, self._browser, self._record, self._products, self._random, self._counts = address, browser, record, products, random, counts
        self.keys: list[str] = []
        self.cancelled: set[str] = set()
        self.token = self.user_id = ""
        self.email = f"{uuid.uuid4().hex}@buyers.torg.example"

    async def live(self) -> None:
        """Until it is cancelled."""
        await self._arrive()
        while True:
            await self._shop_once()

    async def ask(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        """One request; raises one of AWAY when there is no answer."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if key:
            headers["idempotency-key"] = key
        timeout = aiohttp.ClientTimeout(total=20)
        async with self._browser.request(method, f"{self.address}/api/v1{path}", json=body, headers=headers, timeout=timeout) as reply:
            text = await reply.read()
            self._counts[f"status {reply.status // 100}xx"] += 1
            return reply.status, msgspec.json.decode(text) if text else None

    async def insist(self, method: str, path: str, body: object = None, key: str = "") -> tuple[int, Any]:
        """The same request until there is an answer; the same key sees to it that it takes effect once."""
        while True:
            try:
                status, reply = await self.ask(method, path, body, key)
                if status == 503 or (status == 409 and reply["code"] == "idempotency.in_progress"):
                    await asyncio.sleep(PATIENCE)
                    continue
                return status, reply
            except AWAY:
                self._counts["unanswered"] += 1
                await asyncio.sleep(PATIENCE)

    async def sign_in(self) -> None:
        self.token = ""
        _, session = await self.insist("POST", "/sessions", {"email": self.email, "password": PASSWORD})
        self.token = session["access_token"]

    async def _arrive(self) -> None:
        await self.insist("POST", "/users", {"email": self.email, "password": PASSWORD, "full_name": "Anna Petrova"})
        await self.sign_in()
        _, me = await self.insist("GET", "/users/me")
        self.user_id = me["id"]
        await self.insist("POST", "/wallet/top-ups", {"amount": {"amount": POCKET, "currency": "USD"}}, key=uuid.uuid4().hex)

    async def _shop_once(self) -> None:
        """A buyer of little faith may give up when there is no answer: then nobody knows whether there is an order, and either is right."""
        method = self._random.choices(("balance", "cash", "card"), (7, 2, 1))[0]
        product_id, quantity, key = self._random.choice(self._products), self._random.randint(1, 3), uuid.uuid4().hex
        patient = self._random.random() < 0.7
        status, _ = await self.insist("PUT", f"/cart/items/{product_id}", {"quantity": quantity})
        if status != 200:
            self._counts["not for sale"] += 1
            return
        self.keys.append(key)
        body = {"delivery": TO_MOSCOW, "payment": {"method": method}}
        try:
            status, order = await (self.insist if patient else self.ask)("POST", "/orders", body, key)
        except AWAY:
            self._counts["unanswered"] += 1
            return
        if status != 202:
            self._counts[f"refused {order['code']}"] += 1
            return
        line = next(line for line in order["lines"] if line["product_id"] == product_id)
        self._record.write(Promise(key, order["id"], self.user_id, product_id, line["quantity"], order["total"]["amount"], method))
        await self._afterwards(order["id"], method)

    async def _afterwards(self, order_id: str, method: str) -> None:
        if method == "card":
            await self._pay(order_id)
        elif self._random.random() < 0.15:
            status, _ = await self.insist("POST", f"/orders/{order_id}/cancel", {"reason": "changed my mind"}, key=uuid.uuid4().hex)
            if status == 202:
                self.cancelled.add(order_id)

    async def _pay(self, order_id: str) -> None:
        """On the acquirer's page, however often it is away; some leave without."""
        for _ in range(100):
            status, order = await self.insist("GET", f"/orders/{order_id}")
            if status != 200:
                return  # the order is lost: that will be told
            if page := order["payment"].get("redirect_url"):
                break
            await asyncio.sleep(PATIENCE)
        else:
            return
        typed = GOOD_CARD if self._random.random() < 0.8 else {"decision": "give_up"}
        while True:
            try:
                async with self._browser.post(page, data=typed, allow_redirects=False, timeout=aiohttp.ClientTimeout(total=20)) as reply:
                    await reply.read()
                    return
            except AWAY:
                await asyncio.sleep(PATIENCE)
