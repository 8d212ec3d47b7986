"""What somebody has under way at the same time: of all instances together, exactly, and whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torg.kit.errors import Unavailable
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.limits.model import Algorithm, Limit
from torg.kit.limits.ports import Limiter
from torg.kit.limits.shared import LEASE, RedisLimiter
from torg.kit.limits.slots import Slot
from torg.kit.limits.tests.test_limits import Hands
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until

__all__ = ["redis_url"]
Opened = Callable[[], AbstractAsyncContextManager[Limiter]]
ONCE = Limit("once", Algorithm.FIXED_WINDOW, 1, 60)


@asynccontextmanager
async def at_work(limiter: Limiter) -> AsyncIterator[None]:
    running = asyncio.ensure_future(limiter.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest) -> Opened:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    @asynccontextmanager
    async def one() -> AsyncIterator[Limiter]:
        if not url:
            yield MemoryLimiter(Hands())
            return
        async with emptied(url) as redis, at_work(limiter := RedisLimiter(redis, "me")):
            yield limiter

    return one


async def take(limiter: Limiter, who: str = "anna", most: int = 3) -> Slot | None:
    slot = Slot(who, most)
    return slot if (await limiter.take((), slot))[-1].passed else None


async def test_there_are_so_many_and_one_that_leaves_makes_room_for_one(opened: Opened):
    async with opened() as limiter:
        slots = [await take(limiter) for _ in range(5)]
        assert [slot is not None for slot in slots] == [True, True, True, False, False]
        assert await take(limiter, "boris") is not None
        assert slots[1] is not None
        limiter.leave(slots[1])
        limiter.leave(slots[1])

        async def there_is_room() -> bool:
            return await take(limiter) is not None

        await until(there_is_room, "room for one")
        assert not await there_is_room()


async def test_what_a_limit_refuses_has_no_slot_and_who_has_none_is_not_counted(opened: Opened):
    async with opened() as limiter:
        slot = Slot("anna", 1)
        assert [standing.passed for standing in await limiter.take([(ONCE, "anna")], slot)] == [True, True]
        assert [standing.passed for standing in await limiter.take([(ONCE, "anna")], Slot("boris", 1))] == [False, True]
        assert await take(limiter, "boris", 1) is not None
        assert [standing.passed for standing in await limiter.take([(ONCE, "vera")], Slot("boris", 1))] == [True, False]
        assert [standing.passed for standing in await limiter.take([(ONCE, "vera")], Slot("vera", 1))] == [True, True]


async def test_instances_together_have_no_more_than_one_would(redis_url: str):
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        instances = RedisLimiter(one, "one"), RedisLimiter(two, "two")
        slots = await asyncio.gather(*(take(instances[number % 2], most=20) for number in range(80)))
    assert sum(slot is not None for slot in slots) == 20


STEPS = st.lists(st.tuples(st.sampled_from(("take", "take", "take", "leave", "wait", "kill")), st.integers(0, 2), st.floats(0.1, LEASE / 3)), max_size=60)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=STEPS, most=st.integers(1, 5))
def test_never_more_than_so_many_and_nobody_is_refused_for_slots_that_nobody_holds(redis_url: str, steps: list[tuple[str, int, float]], most: int):
    """Three instances, each killed and replaced now and then; those that live say in time what they hold."""

    async def play() -> None:
        hands, born = Hands(), 0
        async with emptied(redis_url) as redis:
            instances = [RedisLimiter(redis, f"{number}", hands) for number in range(3)]
            held: list[list[Slot]] = [[], [], []]
            orphans: list[float] = []  # until when those of killed instances may count
            for what, number, seconds in steps:
                if what == "take":
                    sure, maybe = sum(map(len, held)), sum(until >= hands.now for until in orphans)
                    if (slot := await take(instances[number], most=most)) is not None:
                        assert sure < most
                        held[number].append(slot)
                    else:
                        assert sure + maybe >= most
                elif what == "leave" and held[number]:
                    instances[number].leave(held[number].pop())
                    await instances[number]._tell()
                elif what == "wait":
                    hands.now += seconds
                    for instance in instances:
                        await instance._tell()
                elif what == "kill":
                    orphans += [hands.now + LEASE] * len(held[number])
                    born, held[number] = born + 1, []
                    instances[number] = RedisLimiter(redis, f"{number}.{born}", hands)
            for slots, instance in zip(held, instances, strict=True):
                for slot in slots:
                    instance.leave(slot)
                await instance._tell()
            hands.now += LEASE
            assert [await take(instances[0], most=most) is not None for _ in range(most + 1)] == [True] * most + [False], "all are free again"

    asyncio.run(play())


HOLDER = """
import asyncio, sys
from torg.kit.limits.shared import RedisLimiter
from torg.kit.limits.slots import Slot
from torg.kit.redis import Redis

async def hold():
    limiter = RedisLimiter(Redis(sys.argv[1]), "other", lease=float(sys.argv[2]))
    for _ in range(3):
        assert (await limiter.take((), Slot("anna", 3)))[-1].passed
    print("held", flush=True)
    await limiter.run()

asyncio.run(hold())
"""


def started(*arguments: str | float) -> subprocess.Popen[bytes]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", HOLDER, *map(str, arguments)], stdout=subprocess.PIPE, env=environment)


async def test_what_a_killed_process_held_is_free_after_its_lease_and_not_while_it_lives(redis_url: str):
    lease = 2.0
    async with emptied(redis_url) as redis:
        limiter = RedisLimiter(redis, "me", lease=lease)
        with started(redis_url, lease) as other:
            try:
                assert other.stdout is not None
                assert await asyncio.to_thread(other.stdout.readline) == b"held\n"
                for _ in range(10):
                    assert await take(limiter) is None, "it lives, and says so"
                    await asyncio.sleep(0.25)
            finally:
                other.kill()

            async def one_is_free() -> bool:
                return await take(limiter) is not None

            await until(one_is_free, "its slots are free", LEASE - lease)
        await asyncio.sleep(lease)
        assert [await take(limiter) is not None for _ in range(3)] == [True, True, False]


async def test_redis_that_has_forgotten_is_told_again(redis_url: str):
    async with emptied(redis_url) as redis, emptied(redis_url) as other:
        limiter, elsewhere = RedisLimiter(redis, "me", lease=0.3), RedisLimiter(other, "other")
        slots = [await take(limiter) for _ in range(3)]
        async with emptied(redis_url), at_work(limiter):

            async def refused() -> bool:
                if (slot := await take(elsewhere)) is not None:
                    elsewhere.leave(slot)
                    await elsewhere._tell()
                return slot is None

            await until(refused, "it is known again that there are three")
        assert None not in slots


async def test_without_redis_each_instance_counts_its_own():
    redis = Redis(f"redis://127.0.0.1:{free_port()}")
    limiter, slots = RedisLimiter(redis, "me"), [Slot("anna", 2) for _ in range(3)]
    for slot in slots[:2]:
        with pytest.raises(Unavailable):
            await limiter.take((), slot)
    assert not (await limiter.take((), slots[2]))[-1].passed
    limiter.leave(slots[0])
    with pytest.raises(Unavailable):
        await limiter.take((), Slot("anna", 2))
    await redis.close()
