"""What holds of kept answers, in memory and in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from torg.contexts.gateway.adapters.answers_memory import REMEMBERED, MemoryAnswers
from torg.contexts.gateway.adapters.answers_redis import RedisAnswers
from torg.contexts.gateway.model.keeping import SETTLING, Kept, Key
from torg.contexts.gateway.ports import Answers, Mark
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.tasks import ended
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until

__all__ = ["redis_url"]
ROOM = 200_000


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class House:
    """Two gateways' answers: those of one process twice, or of two that share."""

    first: Answers
    second: Answers
    clock: Clock = field(default_factory=Clock)
    shares: bool = False

    async def keep(self, key: Key, *tags: str, body: bytes = b"cup", since: Mark | None = None, fresh: float = 30) -> bool:
        """Made by the first just now, or at `since`."""
        since = since or (await self.first.seek(key))[1]
        at = since.at
        kept = Kept([(b"etag", b'"1"')], body, b'"1"', tags, at, at + fresh, at + fresh + 10, at + fresh + 100, True)
        return await self.first.keep(key, kept, since)


def key(number: int = 1) -> Key:
    return Key(b"shop", f"/products/{number}".encode(), b"q=1", False, (b"gzip",))


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.engine)])
async def house(request: pytest.FixtureRequest) -> AsyncIterator[House]:
    clock = Clock()
    if request.param == "memory":
        answers = MemoryAnswers(ROOM, clock)
        yield House(answers, answers, clock)
        return
    async with sharing(request.getfixturevalue("redis_url"), clock) as (first, second):
        yield House(first, second, clock, shares=True)


@asynccontextmanager
async def sharing(url: str, clock: Clock) -> AsyncIterator[Sequence[RedisAnswers]]:
    async with emptied(url), AsyncExitStack() as stack:
        found: list[RedisAnswers] = []
        for _ in range(2):
            redis = Redis(url)
            stack.push_async_callback(redis.close)
            found.append(RedisAnswers(redis, ROOM, clock))
            settling = asyncio.ensure_future(found[-1].settle())
            stack.push_async_callback(ended, [settling])
        yield found


async def test_what_is_kept_is_at_hand(house: House):
    assert await house.keep(key(), "product:1")
    kept = house.first.held(key())
    assert kept is not None
    assert (kept.body, kept.etag, kept.headers) == (b"cup", b'"1"', [(b"etag", b'"1"')])
    assert house.first.held(key(2)) is None


async def test_a_purge_takes_what_depends_on_it_and_nothing_else(house: House):
    for number in (1, 2):
        await house.keep(key(number), f"product:{number}", "catalog")
    house.first.purge("product:1")
    assert [house.first.held(key(number)) is not None for number in (1, 2)] == [False, True]
    house.first.purge("catalog")
    assert house.first.held(key(2)) is None


async def test_what_was_asked_for_before_a_purge_is_not_kept_after_it(house: House):
    _, since = await house.first.seek(key())
    house.first.purge("product:1")
    assert not await house.keep(key(), "product:1", since=since)
    assert await house.keep(key(2), "product:2", since=since)
    assert house.first.changed(("product:1",), since, house.first.now())
    assert not house.first.changed(("product:2",), since, house.first.now())


async def test_after_a_purge_answers_live_until_it_has_settled(house: House):
    house.first.purge("product:1")
    house.clock.now += SETTLING / 2
    assert await house.keep(key(), "product:1")
    kept = house.first.held(key())
    assert kept is not None
    assert kept.fresh == kept.away == house.clock.now + SETTLING / 2
    house.clock.now += SETTLING / 2
    assert await house.keep(key(), "product:1")
    assert (kept := house.first.held(key())) is not None
    assert kept.fresh == house.clock.now + 30


async def test_after_clear_nothing_of_before_is_there_or_comes(house: House):
    await house.keep(key(), "product:1")
    _, since = await house.first.seek(key())
    house.first.clear()
    assert house.first.held(key()) is None
    assert not await house.keep(key(), "product:1", since=since)


async def test_what_took_longer_than_purges_are_remembered_is_not_kept(house: House):
    _, since = await house.first.seek(key())
    house.first.purge("product:1")
    house.clock.now += REMEMBERED + 1
    house.first.purge("product:2")
    assert not await house.keep(key(), "product:1", since=since)


async def test_what_was_wanted_least_gives_way(house: House):
    for number in range(6):
        await house.keep(key(number), f"product:{number}", body=b"x" * 40_000)
        house.first.held(key(0))
    assert [house.first.held(key(number)) is not None for number in range(6)] == [True, False, False, True, True, True]
    count, size = house.first.counts()
    assert count == 4
    assert size <= ROOM


async def test_nothing_is_left_of_what_has_gone(house: House):
    for number in range(500):
        await house.keep(key(number), f"product:{number}", "catalog")
    house.first.purge("catalog")
    assert house.first.counts() == (0, 0)


async def test_what_one_has_made_another_finds_if_they_share(house: House):
    await house.keep(key(), "product:1")
    house.clock.now += 5
    found, _ = await house.second.seek(key())
    assert (found is not None) == house.shares
    if found is not None:
        assert (found.body, found.tags, found.cookies) == (b"cup", ("product:1",), True)
        assert found.fresh <= house.clock.now + 30


# ---------------------------------------------------------------- shared


@pytest.fixture
async def pair(redis_url: str) -> AsyncIterator[House]:
    clock = Clock()
    async with sharing(redis_url, clock) as (first, second):
        yield House(first, second, clock, shares=True)


async def purged_in_redis(house: House, answers: Answers) -> None:
    assert isinstance(answers, RedisAnswers)
    await until(lambda: not answers._owed)


@pytest.mark.engine
async def test_nobody_finds_what_another_has_purged(pair: House):
    await pair.keep(key(), "product:1")
    pair.first.purge("product:1")
    await purged_in_redis(pair, pair.first)
    assert (await pair.second.seek(key()))[0] is None


@pytest.mark.engine
async def test_who_has_heard_of_a_change_finds_nothing_of_before_it_whatever_redis_knows(pair: House):
    await pair.keep(key(), "product:1")
    pair.clock.now += 0.1
    pair.second.purge("product:1")
    assert (await pair.second.seek(key()))[0] is None


@pytest.mark.engine
async def test_who_has_yet_to_hear_of_a_change_gives_nothing_of_before_it_to_others(pair: House):
    _, since = await pair.first.seek(key())
    pair.second.purge("product:1")
    await purged_in_redis(pair, pair.second)
    assert await pair.keep(key(), "product:1", since=since), "it does not know better"
    pair.clock.now += SETTLING
    assert (await pair.second.seek(key()))[0] is None


@pytest.mark.engine
async def test_what_was_made_before_redis_forgot_everything_is_not_given_to_others(pair: House, redis_url: str):
    _, since = await pair.first.seek(key())
    async with emptied(redis_url):
        await pair.second.seek(key())
        await pair.keep(key(), "product:1", since=since)
        assert (await pair.second.seek(key()))[0] is None


@pytest.mark.engine
async def test_who_has_just_begun_to_listen_finds_nothing_of_before(pair: House):
    await pair.keep(key(), "product:1")
    pair.clock.now += 0.1
    pair.second.clear()
    assert (await pair.second.seek(key()))[0] is None


async def test_while_redis_is_away_each_keeps_its_own():
    clock, redis = Clock(), Redis(f"redis://127.0.0.1:{free_port()}/0")
    house = House(RedisAnswers(redis, ROOM, clock), MemoryAnswers(ROOM, clock), clock)
    assert await house.keep(key(), "product:1")
    assert house.first.held(key()) is not None
    house.first.purge("product:1")
    assert house.first.held(key()) is None
    await redis.close()
