"""One suite for both stores: whatever comes when, and whatever the clock does, never more passes than a limit says."""

from __future__ import annotations

import asyncio
import math
import runpy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torg.kit.limits.memory import MemoryLimiter
from torg.kit.limits.model import Algorithm, Limit, Standing
from torg.kit.limits.ports import Claim, Limiter
from torg.kit.limits.shared import RedisLimiter
from torg.kit.testing.redis import emptied, redis_url

__all__ = ["redis_url"]
START = 1_800_000_000.0
INSTANT = 1e-4  # seconds
NEAR = 1e-3  # of a request: what rounding of such a time may cost


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


Opened = Callable[[], AbstractAsyncContextManager[tuple[Limiter, Hands]]]


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest) -> Opened:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    @asynccontextmanager
    async def one() -> AsyncIterator[tuple[Limiter, Hands]]:
        hands = Hands()
        if not url:
            yield MemoryLimiter(hands), hands
            return
        async with emptied(url) as redis:
            yield RedisLimiter(redis, "me", hands), hands

    return one


def limit(algorithm: Algorithm, requests: int = 10, seconds: float = 60, burst: int = 5) -> Limit:
    return Limit("some", algorithm, requests, seconds, burst)


def most(of: Limit, seconds: float) -> float:
    """What may pass in so many seconds, as the model's table has it."""
    burst = {Algorithm.TOKEN_BUCKET: of.burst, Algorithm.LEAKY_BUCKET: 1, Algorithm.FIXED_WINDOW: 2 * of.requests, Algorithm.SLIDING_WINDOW: of.requests}
    return burst[of.algorithm] + of.requests / of.seconds * seconds


async def ask(limiter: Limiter, of: Limit, who: str = "anna") -> Standing:
    (standing,) = await limiter.take([(of, who)])
    return standing


async def passes(limiter: Limiter, hands: Hands, of: Limit, pauses: Sequence[float]) -> list[float]:
    """When those begin that pass, by the clock; each comes so long after the one before."""
    begun = []
    for pause in pauses:
        hands.now += pause
        standing = await ask(limiter, of)
        if standing.passed:
            begun.append(hands.now + standing.wait)
    return begun


LIMITS = st.builds(limit, st.sampled_from(Algorithm), st.integers(1, 20), st.sampled_from((0.5, 1.0, 7.0, 60.0)), st.integers(1, 30))
PAUSES = st.lists(st.sampled_from((0.0, 0.0, 0.0, 0.001, 0.2, 0.9, 3.0, 29.0, 59.9, 60.0, 61.0)) | st.floats(0, 100), min_size=1, max_size=120)
JUMPS = st.lists(st.sampled_from((0.0, 0.0, 0.0, 0.001, 0.9, 30.0, 60.0, 7200.0, -0.001, -0.9, -30.0, -60.0, -7200.0)), min_size=1, max_size=120)


@given(of=LIMITS, pauses=PAUSES)
def test_never_more_than_burst_and_rate_allow_pass_in_any_interval(of: Limit, pauses: list[float]):
    hands = Hands()
    begun = asyncio.run(passes(MemoryLimiter(hands), hands, of, pauses))
    assert begun == sorted(begun)
    for first, begin in enumerate(begun):
        for last in range(first, len(begun)):
            assert last - first + 1 <= most(of, begun[last] - begin) + NEAR


@given(of=LIMITS, jumps=JUMPS)
def test_a_clock_that_goes_to_and_fro_gives_no_more_than_the_time_it_went_forth(of: Limit, jumps: list[float]):
    hands = Hands()
    begun = asyncio.run(counted(MemoryLimiter(hands), hands, of, jumps))
    waiting = 0
    if of.algorithm is Algorithm.LEAKY_BUCKET:  # those who wait at the end, and whenever the clock goes back
        waiting = of.burst + sum(jump < 0 for jump in jumps) * (of.burst + 1)
    assert begun <= most(of, sum(jump for jump in jumps if jump > 0)) + waiting + NEAR


async def counted(limiter: Limiter, hands: Hands, of: Limit, jumps: Sequence[float]) -> int:
    return len(await passes(limiter, hands, of, jumps))


@given(of=LIMITS, jumps=JUMPS)
def test_who_is_refused_passes_after_the_time_that_was_told_and_not_before(of: Limit, jumps: list[float]):
    async def play() -> None:
        hands = Hands()
        limiter = MemoryLimiter(hands)
        await passes(limiter, hands, of, jumps)
        while (standing := await ask(limiter, of)).passed:
            pass
        assert 0 < standing.wait <= 2 * of.seconds + NEAR
        told = hands.now
        if standing.wait > 2 * INSTANT:
            hands.now = told + standing.wait - INSTANT
            assert not (await ask(limiter, of)).passed
        hands.now = told + standing.wait + INSTANT
        assert (await ask(limiter, of)).passed

    asyncio.run(play())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(of=LIMITS, jumps=JUMPS)
def test_redis_decides_as_memory_does(redis_url: str, of: Limit, jumps: list[float]):
    async def play() -> None:
        here, there = Hands(), Hands()
        memory = MemoryLimiter(here)
        async with emptied(redis_url) as redis:
            shared = RedisLimiter(redis, "me", there)
            for jump in jumps[:40]:
                here.now, there.now = here.now + jump, there.now + jump
                told, heard = await ask(memory, of), await ask(shared, of)
                assert (told.passed, told.remaining) == (heard.passed, heard.remaining)
                assert (told.wait, told.reset) == pytest.approx((heard.wait, heard.reset), abs=1e-4)

    asyncio.run(play())


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_callers_and_limits_are_counted_apart(opened: Opened, algorithm: Algorithm):
    async with opened() as (limiter, _):
        one, other = Limit("one", algorithm, 1, 60, 1), Limit("other", algorithm, 1, 60, 1)
        while (await ask(limiter, one)).passed:
            pass
        assert (await ask(limiter, one, "boris")).passed
        assert (await ask(limiter, other)).passed


async def test_what_one_limit_refuses_counts_by_none(opened: Opened):
    async with opened() as (limiter, _):
        narrow, wide = Limit("narrow", Algorithm.FIXED_WINDOW, 1, 60), Limit("wide", Algorithm.FIXED_WINDOW, 3, 60)
        both: list[Claim] = [(wide, "anna"), (narrow, "anna")]
        assert [standing.passed for standing in await limiter.take(both)] == [True, True]
        for _ in range(5):
            assert [standing.passed for standing in await limiter.take(both)] == [True, False]
        assert (await ask(limiter, wide)).remaining == 1


async def test_a_leaky_bucket_lets_one_after_the_other_begin(opened: Opened):
    async with opened() as (limiter, _):
        standings = [await ask(limiter, limit(Algorithm.LEAKY_BUCKET, 60, 60, burst=3)) for _ in range(5)]
        assert [standing.passed for standing in standings] == [True, True, True, True, False]
        assert [standing.wait for standing in standings] == pytest.approx([0, 1, 2, 3, 1], abs=1e-3)
        assert [standing.remaining for standing in standings] == [3, 2, 1, 0, 0]


async def test_a_window_says_what_is_left_of_it(opened: Opened):
    async with opened() as (limiter, hands):
        of = limit(Algorithm.FIXED_WINDOW, requests=2)
        told = []
        for pause in (0, 15, 15):
            hands.now += pause
            told.append(await ask(limiter, of))
        assert [(standing.passed, standing.remaining, math.ceil(standing.wait), math.ceil(standing.reset)) for standing in told] == [
            (True, 1, 0, 60), (True, 0, 0, 45), (False, 0, 30, 30),
        ]  # fmt: skip


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_burst_at_two_instances_is_no_larger_than_at_one(redis_url: str, algorithm: Algorithm):
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        of = limit(algorithm, requests=20, seconds=3600, burst=20)
        instances = RedisLimiter(one, "one"), RedisLimiter(two, "two")
        standings = await asyncio.gather(*(ask(instances[number % 2], of) for number in range(80)))
        assert sum(standing.passed for standing in standings) == (21 if algorithm is Algorithm.LEAKY_BUCKET else 20)


async def test_memory_forgets_those_it_has_not_seen_for_longest():
    limiter, of = MemoryLimiter(Hands(), kept=2), limit(Algorithm.FIXED_WINDOW, requests=1)
    assert [(await ask(limiter, of, who)).passed for who in ("anna", "boris", "anna", "vera", "boris")] == [True, True, False, True, True]


def test_the_picture_of_the_docs_shows_what_the_algorithms_do():
    drawn = Path(__file__).parents[5] / "docs" / "pictures" / "limits.svg"
    assert runpy.run_path(str(drawn.with_suffix(".py")))["picture"]() == drawn.read_text(), "draw it anew: PYTHONPATH=src python docs/pictures/limits.py"
