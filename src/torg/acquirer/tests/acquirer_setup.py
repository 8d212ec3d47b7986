"""What the acquirer's tests start from: it on a throw-away file, a merchant who takes webhooks, and a buyer who fills in the form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from torg.acquirer.app import Acquirer, open_acquirer
from torg.acquirer.notices import SIGNATURE
from torg.kit.testing import TestClock, test_ids
from torg.kit.testing.http import Answer, ask

SECRET = "a secret of tests"
SHOP = "http://shop.example"


@dataclass
class Merchant:
    """Notes each webhook that comes, with its signature; answers with `status`."""

    status: int = 200
    taken: list[tuple[bytes, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append((await request.read(), request.headers[SIGNATURE]))
        return web.Response(status=self.status)


@dataclass(frozen=True)
class World:
    acquirer: Acquirer
    merchant: Merchant
    clock: TestClock

    async def api(self, method: str, path: str, body: object = None, secret: str = SECRET, **headers: Any) -> Answer:
        return await ask(self.acquirer.http, method, f"/acquirer{path}", body, authorization=f"Bearer {secret}", **headers)

    async def session(self, reference: str = "payment-1", amount: int = 1990) -> Any:
        body = {"reference": reference, "amount": {"amount": amount, "currency": "USD"}, "return_url": f"{SHOP}/orders/1"}
        answer = await self.api("POST", "/sessions", body, idempotency_key=reference)
        assert answer.status == 201, answer.body
        return answer.json

    async def page(self, charge_id: str, query: str = "", **headers: Any) -> Answer:
        return await ask(self.acquirer.http, "GET", f"/acquirer/pay/{charge_id}{query}", **headers)

    async def send(self, charge_id: str, **form: str) -> Answer:
        headers = {"content_type": "application/x-www-form-urlencoded"}
        return await ask(self.acquirer.http, "POST", f"/acquirer/pay/{charge_id}", raw=urlencode(form).encode(), **headers)

    async def pay(self, charge_id: str, number: str = "4242 4242 4242 4242", expiry: str = "12/30", code: str = "123") -> Answer:
        return await self.send(charge_id, number=number, expiry=expiry, code=code, decision="pay")

    async def charge(self, charge_id: str) -> Any:
        return (await self.api("GET", f"/payments/{charge_id}")).json


@asynccontextmanager
async def an_acquirer(folder: Path) -> AsyncIterator[World]:
    merchant, clock = Merchant(), TestClock()
    shop = web.Application()
    shop.router.add_post("/webhooks", merchant.take)
    runner = web.AppRunner(shop)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    acquirer = await open_acquirer(folder, SECRET, SHOP, f"http://127.0.0.1:{port}/webhooks", clock, test_ids(), sync="OFF")
    try:
        yield World(acquirer, merchant, clock)
    finally:
        await acquirer.close()
        await runner.cleanup()
