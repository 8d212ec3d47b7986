"""Several instances over one SQL: what one ends or counts, the others know."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.asyncio import Redis as Client

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.attempts_redis import RedisAttempts
from torg.contexts.user.adapters.sessions_redis import MARKED, RedisSessionStore
from torg.contexts.user.adapters.sessions_sql import TRUSTED_FOR
from torg.contexts.user.model import attempts as rules
from torg.contexts.user.model import sessions
from torg.contexts.user.ports import Attempts
from torg.contexts.user.tests.house import GOOD, House, open_house
from torg.kit.auth import Role
from torg.kit.endings import Ended, hear
from torg.kit.errors import TooManyRequests, Unauthenticated, Unavailable
from torg.kit.ports import free_port
from torg.kit.redis import Redis, key
from torg.kit.testing import TestClock
from torg.kit.testing.redis import emptied, listening
from torg.kit.testing.waiting import until


@dataclass
class Fleet:
    """Two instances, their Redis, and a plain client of it."""

    here: House
    there: House
    url: str
    raw: Client


@pytest.fixture
async def fleet(tmp_path: Path, redis_url: str) -> AsyncIterator[Fleet]:
    async with emptied(redis_url) as one, emptied(redis_url) as two, open_house(tmp_path, redis=one) as here, Client.from_url(redis_url) as raw:
        there = here.beside(two)
        async with listening(one, two):
            await here.register()
            yield Fleet(here, there, redis_url, raw)


async def knows(house: House, tokens: c.Tokens) -> bool:
    return await house.do(c.Authenticate(tokens.access_token)) is not None


# ---------------------------------------------------------------- endings


Ending = Callable[[House, c.Tokens], Awaitable[object]]


async def _sign_out(house: House, tokens: c.Tokens) -> None:
    await house.do(c.SignOut(await house.holder(tokens)))


async def _sign_out_everywhere(house: House, tokens: c.Tokens) -> None:
    await house.do(c.SignOutEverywhere(await house.holder(tokens)))


async def _renew(house: House, tokens: c.Tokens) -> None:
    await house.do(c.RefreshSession(tokens.refresh_token))


async def _erase(house: House, tokens: c.Tokens) -> None:
    await house.do(c.EraseMe(await house.holder(tokens)))


@pytest.mark.parametrize("end", [_sign_out, _sign_out_everywhere, _renew, _erase])
async def test_an_ending_here_is_known_there_at_once(fleet: Fleet, end: Ending) -> None:
    tokens = await fleet.here.sign_in()
    assert await knows(fleet.there, tokens)
    await end(fleet.here, tokens)
    sessions = fleet.there.deps.sessions
    assert isinstance(sessions, RedisSessionStore)
    await until(lambda: not sessions._held)
    assert not await knows(fleet.there, tokens)
    assert not await knows(fleet.here, tokens)


async def test_changed_roles_are_known_there_at_once(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    identity = await fleet.there.holder(tokens)
    await fleet.here.do(c.GrantRoles(user_id=identity.user_id, roles=(Role.CUSTOMER, Role.SUPPORT)))
    known = fleet.there.deps.sessions
    assert isinstance(known, RedisSessionStore)
    await until(lambda: not known._held)
    assert Role.SUPPORT in (await fleet.there.holder(tokens)).roles


async def test_an_ending_that_no_message_told_shows_within_five_seconds(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    assert await knows(fleet.there, tokens)
    copied = await fleet.raw.pttl(key("user", "session", sessions.token_hash(tokens.access_token)))
    assert 0 < copied <= TRUSTED_FOR.total_seconds() * 1000, "and no copy lives longer"
    async with fleet.here.deps.transaction() as tx:
        await tx.execute("delete from session")
    await fleet.raw.flushall()
    fleet.there.clock.advance(seconds=TRUSTED_FOR.total_seconds())
    assert not await knows(fleet.there, tokens)


async def test_what_was_read_just_before_the_end_is_copied_nowhere(fleet: Fleet) -> None:
    """The reader was stopped between SQL and Redis; the session ended meanwhile."""
    tokens = await fleet.here.sign_in()
    hashed = sessions.token_hash(tokens.access_token)
    slow = fleet.there.deps.sessions
    assert isinstance(slow, RedisSessionStore)
    live = await slow.holder(tokens.access_token, fleet.there.clock())
    assert live is not None
    await _sign_out(fleet.here, tokens)
    assert not await slow._copied(hashed, live, 5)
    assert 0 < await fleet.raw.ttl(key("user", "session", hashed)) <= MARKED
    assert not await knows(fleet.here, tokens)


async def test_a_copy_spares_the_others_sql(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    assert await knows(fleet.here, tokens)
    async with fleet.here.deps.transaction() as tx:
        await tx.execute("delete from session")
    assert await knows(fleet.there, tokens), "it asked Redis, not SQL"


async def test_nothing_in_redis_opens_a_door(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    await knows(fleet.here, tokens)
    with pytest.raises(Unauthenticated):
        await fleet.here.sign_in(password="wrong-guess-1")
    names = [name async for name in fleet.raw.scan_iter()]
    assert len(names) >= 2
    for name in names:
        kept = name + (await fleet.raw.dump(name) or b"")
        assert tokens.access_token.encode() not in kept
        assert b"anna@example.com" not in kept


async def test_edges_elsewhere_are_told_which_sessions_ended(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    session = (await fleet.here.holder(tokens)).session_id
    told: list[Ended] = []
    edge = Redis(fleet.url)
    hear(edge, told.append, lambda: None)
    async with listening(edge):
        await _sign_out(fleet.here, tokens)
        await until(lambda: told)
    assert told == [Ended((session,), (sessions.token_hash(tokens.access_token),))]
    await edge.close()


# ---------------------------------------------------------------- an empty Redis, or none


async def test_sessions_outlive_an_emptied_redis(fleet: Fleet) -> None:
    tokens = await fleet.here.sign_in()
    assert await knows(fleet.there, tokens)
    await fleet.raw.flushall()
    fleet.here.clock.advance(seconds=6)
    assert await knows(fleet.there, tokens)
    assert await knows(fleet.here, tokens)


async def test_without_redis_sessions_go_on_and_nobody_signs_in(tmp_path: Path) -> None:
    away = Redis(f"redis://127.0.0.1:{free_port()}/0")
    async with open_house(tmp_path) as with_redis:
        await with_redis.register()
        tokens = await with_redis.sign_in()
        house = with_redis.beside(away)
        assert await knows(house, tokens)
        with pytest.raises(Unavailable):
            await house.sign_in()
        with pytest.raises(Unavailable):
            await house.do(c.ChangePassword(holder=await house.holder(tokens), current_password=GOOD, new_password="Longer-1234-still"))
        renewed = await house.do(c.RefreshSession(tokens.refresh_token))
        await _sign_out(house, renewed)
        assert not await knows(house, renewed)
    await away.close()


# ---------------------------------------------------------------- guesses


async def test_guesses_spread_over_instances_gain_nothing(fleet: Fleet) -> None:
    houses = [fleet.here, fleet.there]
    guesses = [houses[n % 2].sign_in(password=f"wrong-guess-{n}") for n in range(60)]
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(outcome, Unauthenticated) for outcome in outcomes) == rules.FREE_FAILURES
    assert sum(isinstance(outcome, TooManyRequests | Unavailable) for outcome in outcomes) == 60 - rules.FREE_FAILURES
    with pytest.raises(TooManyRequests):
        await fleet.there.sign_in()


@pytest.fixture(params=["memory", "redis"])
async def attempts(request: pytest.FixtureRequest) -> AsyncIterator[Attempts]:
    if request.param == "memory":
        yield MemoryAttempts()
        return
    async with emptied(request.getfixturevalue("redis_url")) as redis:
        yield RedisAttempts(redis)


async def test_pauses_grow_as_the_model_says(attempts: Attempts) -> None:
    clock, waits = TestClock(), list[float]()
    for _ in range(16):
        assert await attempts.failed({"anna": 2}, clock()) == 0
        waits.append(await attempts.paused_for(["anna"], clock()))
        clock.advance(seconds=math.ceil(waits[-1]))
    assert waits == [rules.pause(failures, 2).total_seconds() for failures in range(1, 17)]


async def test_a_paused_key_counts_nothing_for_any(attempts: Attempts) -> None:
    clock = TestClock()
    assert await attempts.failed({"anna": 1}, clock()) == 0
    assert await attempts.failed({"boris": 2, "anna": 1}, clock()) == 1
    assert await attempts.paused_for(["boris"], clock()) == 0
    assert await attempts.failed({"boris": 2}, clock()) == 0
    assert await attempts.paused_for(["boris"], clock()) == 0, "that was its first one"
    assert await attempts.paused_for(["boris", "anna", "nobody"], clock()) == 1


async def test_an_hour_without_failures_and_a_right_password_forgive(attempts: Attempts) -> None:
    clock = TestClock()
    for _ in range(3):
        assert await attempts.failed({"anna": 3}, clock()) == 0
    clock.advance(hours=1)
    assert await attempts.failed({"anna": 3}, clock()) == 0
    assert await attempts.paused_for(["anna"], clock()) == 0
    await attempts.failed({"anna": 0}, clock())
    await attempts.forget("anna")
    assert await attempts.paused_for(["anna"], clock()) == 0


@pytest.mark.race
async def test_failures_that_race_are_all_counted(attempts: Attempts) -> None:
    clock = TestClock()
    counted = await asyncio.gather(*(attempts.failed({"anna": 20}, clock()) for _ in range(100)))
    assert counted.count(0) == 20
    assert await attempts.paused_for(["anna"], clock()) == 1
