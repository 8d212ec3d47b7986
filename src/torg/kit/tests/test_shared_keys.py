"""Idempotency keys that two instances answer for, over one store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis as Client

from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError
from torg.kit.http import App, Request, Response, Route
from torg.kit.http.shared_keys import ANSWERING, COPIED, SharedKeys
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store
from torg.kit.testing.http import Answer, ask
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import new_id, utc_now

__all__ = ["redis_url"]


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class Shop:
    """Puts things on a shelf, slowly when told so, or when it may go on; counts how often."""

    store: Store
    begun: int = 0
    done: int = 0
    seconds: float = 0
    refuses: bool = False
    may_go_on: asyncio.Event = field(default_factory=_set)
    apps: list[App] = field(default_factory=list)

    def open(self, redis: Redis) -> None:
        """One more instance."""

        async def authenticate(token: str) -> Identity:
            return Identity(token, frozenset({Role.CUSTOMER}))

        app = App(utc_now, new_id, authenticate, keys=SharedKeys(redis, new_id))
        app.add([Route(method="POST", path="/things", endpoint=self.put, right="orders:write", idempotency="required")], lambda _: self.put, self.store)
        self.apps.append(app)

    async def put(self, _: Request) -> Response:
        self.begun += 1
        await asyncio.sleep(self.seconds)
        await self.may_go_on.wait()
        if self.refuses:
            raise DomainError("shelf.full", "the shelf is full")
        return await self.store.undisturbed(self._put, "shelf.put")

    async def _put(self) -> Response:
        async with self.store.transaction() as tx:
            self.done += 1
            await tx.append(f"shelf-{self.done}", [WasPut("a", 1)])
            return await tx.answer(Response(201, f"thing {self.done}".encode(), [(b"x-thing", b"1")]))

    async def ask(self, instance: int, body: str = "tea", who: str = "anna") -> Answer:
        more: dict[str, Any] = {"idempotency_key": "k", "authorization": f"Bearer {who}"}
        return await ask(self.apps[instance], "POST", "/things", raw=body.encode(), **more)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "order", TestClock(), REGISTRY) as opened:
        yield opened


@pytest.fixture
async def shop(store: Store, redis_url: str) -> AsyncIterator[Shop]:
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        found = Shop(store)
        found.open(one)
        found.open(two)
        yield found


@pytest.fixture
async def raw(redis_url: str) -> AsyncIterator[Client]:
    async with Client.from_url(redis_url) as client:
        yield client


@pytest.mark.race
async def test_of_many_requests_with_one_key_one_is_begun(shop: Shop) -> None:
    shop.may_go_on.clear()
    asking = [asyncio.create_task(shop.ask(number % 2)) for number in range(20)]
    await until(lambda: sum(each.done() for each in asking) == 19)
    shop.may_go_on.set()
    answers = await asyncio.gather(*asking)
    assert (shop.begun, shop.done) == (1, 1)
    assert sorted({answer.status for answer in answers}) == [201, 409]
    assert {answer.json["code"] for answer in answers if answer.status == 409} == {"idempotency.in_progress"}
    again = await shop.ask(1)
    assert (again.status, again.body, again.headers["x-thing"], again.headers["idempotent-replayed"]) == (201, b"thing 1", "1", "true")


async def test_an_answer_is_repeated_without_sql_for_a_while_and_from_sql_for_a_day(shop: Shop, raw: Client) -> None:
    first = await shop.ask(0)
    async with shop.store.transaction() as tx:
        await tx.execute("update answer set body = 'from SQL'")
    assert (await shop.ask(1)).body == first.body
    lives = {name.split(b":")[2]: await raw.pttl(name) async for name in raw.scan_iter()}
    assert set(lives) == {b"answer"}
    assert 0 < lives[b"answer"] <= COPIED * 1000
    await raw.flushall()
    assert (await shop.ask(1)).body == b"from SQL"
    assert shop.done == 1


async def test_another_body_is_refused_and_another_person_is_not(shop: Shop) -> None:
    await shop.ask(0)
    refused = await shop.ask(1, "coffee")
    assert (refused.status, refused.json["code"]) == (422, "idempotency.other_body")
    assert (await shop.ask(1, who="boris")).body == b"thing 2"


async def test_a_refusal_is_repeated_elsewhere_too(shop: Shop) -> None:
    shop.refuses = True
    assert (await shop.ask(0)).json["code"] == "shelf.full"
    shop.refuses = False
    again = await shop.ask(1)
    assert (again.json["code"], again.headers["idempotent-replayed"], shop.begun) == ("shelf.full", "true", 1)


async def test_who_died_holds_the_next_one_up_for_seconds_only(shop: Shop, raw: Client) -> None:
    shop.seconds = 60
    dying = asyncio.create_task(shop.ask(0))
    await until(lambda: shop.begun)
    (name,) = [name async for name in raw.scan_iter()]
    assert 0 < await raw.pttl(name) <= ANSWERING * 1000
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    shop.seconds = 0
    assert (await shop.ask(1)).status == 201


@pytest.mark.race
async def test_one_effect_even_where_redis_forgets_whose_turn_it_is(shop: Shop, raw: Client) -> None:
    shop.may_go_on.clear()
    first = asyncio.create_task(shop.ask(0))
    await until(lambda: shop.begun)
    await raw.flushall()
    second = asyncio.create_task(shop.ask(1))
    await until(lambda: shop.begun == 2)
    shop.may_go_on.set()
    answers = await asyncio.gather(first, second)
    assert sorted(answer.status for answer in answers) == [201, 409]
    assert await shop.store.database.value("select count(*) from log") == 1


@pytest.mark.race
async def test_one_effect_without_redis(store: Store) -> None:
    redises = [Redis(f"redis://127.0.0.1:{free_port()}/0") for _ in range(2)]
    shop = Shop(store)
    for redis in redises:
        shop.open(redis)
    shop.may_go_on.clear()
    asking = [asyncio.create_task(shop.ask(instance)) for instance in (0, 1)]
    await until(lambda: shop.begun == 2)
    shop.may_go_on.set()
    answers = await asyncio.gather(*asking)
    assert sorted(answer.status for answer in answers) == [201, 409]
    assert await store.database.value("select count(*) from log") == 1
    assert (await shop.ask(0)).status == (await shop.ask(1)).status == 201
    for redis in redises:
        await redis.close()
