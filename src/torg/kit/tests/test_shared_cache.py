"""Answers shared by several instances: made once, purged everywhere, never believed for long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis as Client

from torg.kit.http import App, Response, Route
from torg.kit.http.cache import Keeping, Kept, Key
from torg.kit.http.metrics import RequestStats
from torg.kit.http.shared_cache import ALONE, HELD, LARGEST, MAKING, SharedResponseCache
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.testing.http import ask
from torg.kit.testing.redis import emptied, listening, redis_url
from torg.kit.testing.waiting import until
from torg.kit.values import new_id, utc_now

__all__ = ["redis_url"]
PAGE: Key = "/products/1", b"", False
STATS = RequestStats().of("GET", "/products/{id}", 200)
SHELF = Keeping(60, ("shelf", "product:1"), STATS)


@dataclass
class Kitchen:
    """Makes answers of what is on the shelf now, slowly; counts how often."""

    shelf: str = "cup"
    made: int = 0
    seconds: float = 0.0
    keep: bool = True
    began: asyncio.Event = field(default_factory=asyncio.Event)

    async def make(self) -> Kept | None:
        self.made += 1
        body = self.shelf.encode()
        self.began.set()
        await asyncio.sleep(self.seconds)
        return Kept(body, [(b"content-type", b"text/plain")], b'"1"', time.monotonic() + 60, STATS) if self.keep else None


@dataclass
class Instance:
    cache: SharedResponseCache
    kitchen: Kitchen
    redis: Redis

    async def get(self, keeping: Keeping = SHELF, key: Key = PAGE) -> bytes | None:
        kept = self.cache.get(key) or await self.cache.fetch(key, keeping, self.kitchen.make)
        return kept.body if kept else None


@asynccontextmanager
async def instances(url: str, count: int = 2, hearing: bool = True) -> AsyncIterator[list[Instance]]:
    """Some over one kitchen."""
    kitchen, clients = Kitchen(), [Redis(url) for _ in range(count)]
    found = [Instance(SharedResponseCache(client, "web", new_id), kitchen, client) for client in clients]
    settling = [asyncio.create_task(instance.cache.settle()) for instance in found]
    async with emptied(url):
        if hearing:
            async with listening(*clients):
                yield found
        else:
            yield found
        for task in settling:
            task.cancel()
        await asyncio.gather(*settling, return_exceptions=True)
    for client in clients:
        await client.close()


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[list[Instance]]:
    async with instances(redis_url) as found:
        yield found


async def settled(instance: Instance) -> None:
    await until(lambda: not instance.cache._unsettled and not instance.cache._settling)


@pytest.mark.race
async def test_one_instance_makes_what_many_ask_for_at_once(fleet: list[Instance]) -> None:
    fleet[0].kitchen.seconds = 0.1
    answers = await asyncio.gather(*(instance.get() for instance in fleet for _ in range(20)))
    assert (set(answers), fleet[0].kitchen.made) == ({b"cup"}, 1)


async def test_an_answer_made_there_is_given_here_whole(fleet: list[Instance]) -> None:
    here, there = fleet
    await there.get()
    kept = await here.cache.fetch(PAGE, SHELF, here.kitchen.make)
    assert kept is not None
    assert (kept.body, kept.headers, kept.etag, kept.stats) == (b"cup", [(b"content-type", b"text/plain")], b'"1"', STATS)
    assert kept.until - time.monotonic() <= HELD
    assert here.kitchen.made == 1


async def test_a_purge_here_is_told_there(fleet: list[Instance]) -> None:
    here, there = fleet
    assert await here.get() == await there.get() == b"cup"
    here.kitchen.shelf = "pot"
    here.cache.purge("product:1")
    assert await here.get() == b"pot", "at once, where it was purged"
    await until(lambda: not there.cache._kept)  # purged: what was only believed for too long would still be there
    assert await there.get() == b"pot"


async def test_tags_that_the_answer_does_not_have_leave_it_alone(fleet: list[Instance]) -> None:
    here, there = fleet
    await here.get()
    here.cache.purge("product:2", "catalog")
    await settled(here)
    assert (await there.get(), here.kitchen.made) == (b"cup", 1)


async def test_what_was_begun_before_a_purge_is_kept_nowhere(fleet: list[Instance]) -> None:
    here, there = fleet
    here.kitchen.seconds = 0.2
    asking = asyncio.create_task(here.get())
    await here.kitchen.began.wait()
    here.kitchen.shelf = "pot"
    there.cache.purge("shelf")
    await settled(there)
    assert await asking == b"cup", "it was asked for before"
    assert await here.get() == await there.get() == b"pot"


async def test_a_missed_message_keeps_a_stale_answer_for_seconds_only(fleet: list[Instance], redis_url: str) -> None:
    here, _ = fleet
    await here.get()
    here.kitchen.shelf = "pot"
    async with Client.from_url(redis_url) as raw:
        for name in [name async for name in raw.scan_iter("torg:edge:tag:*")] or ["torg:edge:tag:shelf"]:
            await raw.set(name, "another version", px=60_000)  # as a purge does, but for the message
    kept = here.cache.get(PAGE)
    assert kept is not None
    assert kept.until - time.monotonic() <= HELD
    here.cache._kept.clear()  # that time is over
    assert await here.get() == b"pot"


async def test_what_is_not_heard_is_believed_for_a_second(redis_url: str) -> None:
    async with instances(redis_url, 1, hearing=False) as (deaf,):
        await deaf.get()
        kept = deaf.cache.get(PAGE)
        assert kept is not None
        assert kept.until - time.monotonic() <= ALONE


async def test_a_lost_connection_ends_all_that_is_held(fleet: list[Instance]) -> None:
    here, _ = fleet
    await here.get()
    here.redis._lost()
    assert here.cache.get(PAGE) is None


async def test_an_emptied_redis_is_filled_again(fleet: list[Instance], redis_url: str) -> None:
    here, there = fleet
    here.cache.purge("shelf")
    await settled(here)
    await here.get()
    async with Client.from_url(redis_url) as raw:
        await raw.flushall()
    assert await there.get() == b"cup"
    assert here.kitchen.made == 2


async def test_without_redis_each_makes_its_own_and_believes_it_for_a_second() -> None:
    redis, kitchen = Redis(f"redis://127.0.0.1:{free_port()}/0"), Kitchen()
    cache = SharedResponseCache(redis, "web", new_id)
    for _ in range(2):
        assert await Instance(cache, kitchen, redis).get() == b"cup"
    assert kitchen.made == 1
    kept = cache.get(PAGE)
    assert kept is not None
    assert kept.until - time.monotonic() <= ALONE
    await redis.close()


async def test_a_purge_that_could_not_be_told_is_told_later(fleet: list[Instance]) -> None:
    here, there = fleet
    assert await here.get() == await there.get() == b"cup"
    here.redis._away_until = time.monotonic() + 0.3
    here.kitchen.shelf = "pot"
    here.cache.purge("shelf")
    assert await here.get() == b"pot", "whoever purged sees it, though Redis holds the old one"
    await until(lambda: not there.cache._kept)
    assert await there.get() == b"pot"


async def test_who_died_making_it_holds_the_others_up_for_seconds_only(fleet: list[Instance]) -> None:
    here, there = fleet
    here.kitchen.seconds, began = 600, time.monotonic()
    dying = asyncio.create_task(here.get())
    await here.kitchen.began.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    here.kitchen.seconds = 0
    async with asyncio.timeout(60):
        assert await there.get() == b"cup"
    assert time.monotonic() - began > MAKING - 0.5


async def test_what_is_not_to_be_kept_is_made_by_everybody(fleet: list[Instance]) -> None:
    here, there = fleet
    here.kitchen.keep = False
    assert [await instance.get() for instance in (here, there, here)] == [None] * 3
    assert here.kitchen.made == 3


async def test_what_is_too_large_or_too_much_stays_with_its_instance(redis_url: str) -> None:
    async with emptied(redis_url) as redis, Client.from_url(redis_url) as raw:
        cache, kitchen = SharedResponseCache(redis, "web", new_id, shared=3000), Kitchen()
        one = Instance(cache, kitchen, redis)
        kitchen.shelf = "x" * (LARGEST + 1)
        await one.get()
        kitchen.shelf = "x" * 1000
        for number in range(10):
            await one.get(key=(f"/products/{number}", b"", False))
        assert await raw.dbsize() == 2
        assert kitchen.made == 10, "each is held"


async def test_two_kinds_of_process_that_answer_one_address_keep_apart(redis_url: str) -> None:
    async with emptied(redis_url) as redis:
        web, gateway = (Instance(SharedResponseCache(redis, name, new_id), Kitchen(name), redis) for name in ("web", "gateway"))
        assert (await web.get(), await gateway.get()) == (b"web", b"gateway")


async def test_the_edge_gives_an_answer_of_another_instance_with_its_etag(fleet: list[Instance]) -> None:
    asked = 0

    async def endpoint(_: object) -> Response:
        nonlocal asked
        asked += 1
        return Response(200, b"cup", [(b"content-type", b"text/plain")])

    async def nobody(_: str) -> None: ...

    apps = [App(utc_now, new_id, nobody, instance.cache) for instance in fleet]
    for app in apps:
        app.add(
            [Route(method="GET", path="/cups/{id}", endpoint=endpoint, right="catalog:read", cached=60, etag=True, tags=lambda path: (f"cup:{path['id']}",))],
            lambda _: endpoint,
        )
    first, second = [await ask(app, "GET", "/cups/1") for app in apps]
    assert (first.status, second.status, asked) == (200, 200, 1)
    assert first.headers["etag"] == second.headers["etag"]
    assert (await ask(apps[1], "GET", "/cups/1", if_none_match=first.headers["etag"])).status == 304
    fleet[0].cache.purge("cup:1")
    assert (await ask(apps[0], "GET", "/cups/1", if_none_match=first.headers["etag"])).status == 304, "made anew, and still the same"
    assert asked == 2
