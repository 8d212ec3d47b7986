"""A signal in the middle of work: what was acknowledged is there afterwards, what was not answered has not happened, and nothing ends with a fault."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.shop.waiting import until
from tests.test_up import SMALL, free_port, until_ready, up

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.fleet]
BUYERS, BEFORE = 8, 40  # buyers; orders before the signal
ADDRESS = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}
ORDER = {"delivery": {"method": "courier", "address": ADDRESS}, "payment": {"method": "balance"}}


@dataclass
class Buyer:
    """Orders one thing after the other, each with a new key, and notes what it was told: an order's id, a status, or that no answer came."""

    address: str
    browser: aiohttp.ClientSession
    product: str
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
        while True:
            try:
                status, _, headers = await self.ask("PUT", f"/cart/items/{self.product}", {"quantity": 1})
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


async def listen(buyer: Buyer) -> str:
    """Follows the notifications; how that came to its end."""
    try:
        async with buyer.browser.get(f"{buyer.address}/api/v1/notifications/stream", headers={"authorization": f"Bearer {buyer.token}"}) as reply:
            assert reply.status == 200
            async for _ in reply.content:
                continue
    except aiohttp.ClientError as error:
        return f"{type(error).__name__}: {error}"
    return "closed"


@contextmanager
def opened(data: Path, port: int, topology: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = up("--topology", topology, "--port", str(port), "--data", str(data))
    try:
        yield process, until_ready(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("topology", ["all", "services"])
async def test_a_signal_under_load_loses_nothing(topology: str, tmp_path: Path):
    port = free_port()
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections, timeout=aiohttp.ClientTimeout(total=60)) as browser:
        with opened(tmp_path, port, topology) as (process, address):
            async with browser.get(f"{address}/api/v1/products?in_stock=true&limit={BUYERS}") as reply:
                products = [item["id"] for item in (await reply.json())["items"]]
            crowd = [Buyer(address, browser, product) for product in products]
            for buyer in crowd:
                await buyer.arrive()
            listening = asyncio.ensure_future(listen(crowd[0]))
            buying = [asyncio.ensure_future(buyer.buy()) for buyer in crowd]

            async def busy() -> bool:
                return sum(len(buyer.acknowledged) for buyer in crowd) >= BEFORE

            await until(busy, "orders come in", 60)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(process.communicate, timeout=60)
            await asyncio.gather(*buying)
            told = sum((buyer.told for buyer in crowd), Counter[str]())
            assert (process.returncode, "Traceback" in said) == (0, False), said
            assert await listening == "closed"
            assert not [what for what in told if what.startswith("FAULT")], told
        with opened(tmp_path, port, topology):
            for buyer in crowd:
                await buyer.sign_in()
                assert sorted(await buyer.orders()) == sorted(buyer.acknowledged), told
