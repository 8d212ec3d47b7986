"""The shop as processes: one that is killed comes back, all of them are replaced under load, and buyers notice nothing that could be helped."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.shop import until
from tests.shop.afar import FarShop, open_far_shop
from tests.shop.holding import everything_holds
from tests.shop.people import Buyer
from torg import topology
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.user.contracts import GetContact
from torg.kit import values
from torg.kit.chain import Chained
from torg.kit.errors import Forbidden, Unavailable
from torg.kit.rpc.client import RemoteCalls
from torg.kit.rpc.http import Connections
from torg.kit.rpc.identity import Identities, KeyPair, StaticKeys, bytes_of
from torg.kit.rpc.key_files import rotate, services_of
from torg.kit.rpc.peers import StaticPeers

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FarShop]:
    async with open_far_shop(tmp_path_factory.mktemp("fleet"), "services") as opened:
        yield opened


async def back(shop: FarShop, name: str, before: int) -> None:
    """Once a process runs again and everybody knows."""

    async def it_is() -> bool:
        return shop.supervisor.pids()[name] != before and bool(shop.supervisor.members.addresses.get(name))

    await until(it_is, f"{name} is back", 60)


@pytest.mark.parametrize("name", ["order", "inventory", "payment", "user", "web", "gateway"])
async def test_a_process_that_is_killed_comes_back_and_orders_go_all_the_way(shop: FarShop, name: str):
    anna = await shop.buyer()
    under_way = [await anna.order(shop.product()) for _ in range(2)]
    before = shop.supervisor.pids()[name]
    os.kill(before, signal.SIGKILL)
    await back(shop, name, before)
    for order_id in under_way:
        await until(lambda order_id=order_id: _confirmed(anna, order_id), "orders that were under way are confirmed", 60)  # type: ignore[misc]
    order_id = await _ordered(anna, shop.product())
    await anna.sees(order_id, "confirmed")
    assert (await anna.payment(order_id))["status"] == "captured"


async def _confirmed(buyer: Buyer, order_id: str) -> bool:
    with suppress(aiohttp.ClientError):
        reply = await buyer.get(f"/orders/{order_id}")
        return reply.status == 200 and reply.json["status"] == "confirmed"
    return False


async def _ordered(buyer: Buyer, product_id: str) -> str:
    """Orders as a patient client does: the same request with the same key, until there is an answer."""

    async def put_in() -> bool:
        return (await buyer.put(f"/cart/items/{product_id}", {"quantity": 1})).status == 200

    async def placed() -> str | None:
        reply = await buyer.check_out(key=key)
        return reply.json["id"] if reply.status == 202 else None

    key = f"patient-{product_id}"
    await until(put_in, "the cart takes it")
    return await until(placed, "the order is taken")


async def test_every_service_gets_another_key_while_people_buy_and_no_request_fails(shop: FarShop):
    folder, anna = Path(shop.settings.data) / "identities", await shop.buyer()
    before = services_of(folder)
    order_ids = []
    for service in topology.SERVICES:
        rotate(folder, service, values.randomness)
        order_ids.append(await anna.order(shop.product()))
    for order_id in order_ids:
        await anna.sees(order_id, "confirmed")
    after = services_of(folder)
    assert {service: keys[1] for service, keys in after.items()} == {service: keys[0] for service, keys in before.items()}


async def test_a_thief_of_a_services_key_is_that_one_alone_and_nobody_once_it_was_dropped(shop: FarShop):
    folder, anna = Path(shop.settings.data) / "identities", await shop.buyer()
    stolen = KeyPair(bytes_of((folder / "cart" / "key").read_text().split()[0]))
    of_shop = {context: tuple(addresses) for context, addresses in shop.supervisor.members.addresses.items()}
    names = services_of(folder)
    thief = Identities(StaticKeys({"cart": (stolen,), "admin": (stolen,)}, {**names, "admin": names["cart"]}), values.utc_now, values.randomness)
    connections = Connections()
    as_cart, as_admin = (Chained(RemoteCalls(StaticPeers(of_shop), connections, thief, Random(1)), name) for name in ("cart", "admin"))
    product_id = shop.product()
    assert [offer.product_id for offer in await as_cart(GetOffers((product_id,)))] == [product_id]
    with pytest.raises(Forbidden, match="cart is not among those who may ask user"):
        await as_cart(GetContact(anna.user_id))
    with pytest.raises(Unavailable, match="its key is none of those known of 'admin'"):
        await as_admin(GetContact(anna.user_id))
    rotate(folder, "cart", values.randomness, drop=True)

    async def nobody() -> bool:
        try:
            await as_cart(GetOffers((product_id,)))
        except Unavailable as refused:
            return "its key is none of those known of 'cart'" in refused.detail
        return False

    await until(nobody, "the stolen key is not believed any more")
    await connections.close()
    await anna.sees(await _ordered(anna, shop.product()), "confirmed")


# ---------------------------------------------------------------- replaced under load


GUESTS, BUYERS = 0.025, 0.35  # seconds between two visits: however long it goes on, nobody comes near a limit of requests in a minute


class Load:
    """Visitors who never stop asking. `answers` counts what they were told, by what they asked for."""

    def __init__(self, shop: FarShop) -> None:
        self.shop, self.answers, self.slowest = shop, Counter[str](), 0.0
        self.faults: list[str] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        buyers, guests = [await self._buyer(), await self._buyer()], (self._look, self._search, self._page)
        stopping = asyncio.Event()
        visits = [asyncio.ensure_future(self._visit(ask, BUYERS, stopping)) for ask in buyers]
        visits += [asyncio.ensure_future(self._visit(ask, GUESTS, stopping)) for ask in guests]
        try:
            yield
        finally:
            stopping.set()
            await asyncio.gather(*visits)

    async def _visit(self, ask: Callable[[], Awaitable[Any]], pause: float, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            began = time.monotonic()
            try:
                await ask()
            except (aiohttp.ClientError, AssertionError) as error:
                self.faults.append(f"{type(error).__name__}: {error}")
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(pause)

    async def _told(self, what: str, status: int, *fine: int) -> None:
        self.answers[f"{what} {status}"] += 1
        if status not in fine:
            self.faults.append(f"{what}: {status}")

    async def _look(self) -> None:
        await self._told("product", (await self.shop.guest().get("/products", limit=3)).status, 200)

    async def _search(self) -> None:
        await self._told("search", (await self.shop.guest().get("/products", query="cheese")).status, 200)

    async def _page(self) -> None:
        await self._told("page", (await self.shop.send("GET", "/")).status, 200)

    async def _buyer(self) -> Callable[[], Awaitable[Any]]:
        buyer = await self.shop.buyer(10_000_000)
        product_id = self.shop.product()

        async def buy() -> None:
            put = await buyer.put(f"/cart/items/{product_id}", {"quantity": 1})
            await self._told("put", put.status, 200)
            if put.status == 200:
                await self._told("order", (await buyer.check_out()).status, 202, 409)

        return buy


async def test_replacing_all_processes_fails_no_request(shop: FarShop):
    load, before = Load(shop), shop.supervisor.pids()
    async with load.going_on():
        await asyncio.sleep(1)
        await shop.supervisor.restart()
        await until(lambda: load.answers["order 202"] > 5)
    assert load.faults == [], load.answers
    after = shop.supervisor.pids()
    assert before.keys() == after.keys()
    assert not {*before.values()} & {*after.values()}, "every process is another one"
    assert load.slowest < 60, f"somebody waited {load.slowest:.1f} s"


async def test_all_is_in_order_after_that(shop: FarShop):
    await everything_holds(shop)
