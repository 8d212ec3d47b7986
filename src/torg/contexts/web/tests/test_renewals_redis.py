"""A browser's requests come to several instances, all with one refresh token: it is used once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis as Client

from torg.contexts.user.contracts import RefreshSession, Tokens
from torg.contexts.web.adapters.renewals_redis import BUYING, RedisPurchases
from torg.kit.errors import Unauthenticated, Unavailable
from torg.kit.ports import free_port
from torg.kit.redis import Redis
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until
from torg.kit.values import new_id

__all__ = ["redis_url"]
ASK = RefreshSession("old-refresh-token")
TOKENS = Tokens(access_token="new-access-token", refresh_token="new-refresh-token", expires_in=900)


class Users:
    """Sells new tokens for the old ones, slowly; `fails` names what goes wrong first."""

    def __init__(self, *fails: Exception) -> None:
        self.asked, self.seconds, self._fails = 0, 0.05, list(fails)

    async def __call__(self, _: RefreshSession) -> Tokens:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self._fails:
            raise self._fails.pop()
        return TOKENS


def instance(users: Users, redis: Redis) -> RedisPurchases:
    async def call(message: RefreshSession) -> Tokens:
        return await users(message)

    return RedisPurchases(call, redis, new_id)


@pytest.fixture
async def redises(redis_url: str) -> AsyncIterator[list[Redis]]:
    async with emptied(redis_url) as one, emptied(redis_url) as two:
        yield [one, two]


@pytest.mark.race
async def test_requests_that_come_to_several_instances_share_one_purchase(redises: list[Redis], redis_url: str) -> None:
    users = Users()
    instances = [instance(users, redis) for redis in redises]
    bought = await asyncio.gather(*(instances[number % 2](ASK) for number in range(20)))
    assert (set(bought), users.asked) == ({TOKENS}, 1)
    assert await instances[1](ASK) == TOKENS, "and who comes a little later"
    async with Client.from_url(redis_url) as raw:
        for name in [name async for name in raw.scan_iter()]:
            assert b"token" not in name + (await raw.get(name) or b""), "nothing there opens a door"


async def test_a_purchase_that_failed_is_made_by_the_next(redises: list[Redis]) -> None:
    users = Users(Unavailable("away"))
    with pytest.raises(Unavailable, match="away"):
        await instance(users, redises[0])(ASK)
    assert await instance(users, redises[1])(ASK) == TOKENS


async def test_a_refusal_is_everybodys_own(redises: list[Redis], redis_url: str) -> None:
    users = Users(*(Unauthenticated("session.bad_refresh_token", "used before") for _ in range(4)))
    for redis in redises * 2:
        with pytest.raises(Unauthenticated):
            await instance(users, redis)(ASK)
    async with Client.from_url(redis_url) as raw:
        assert await raw.dbsize() == 0, "guesses fill no memory"


async def test_who_died_while_buying_holds_the_others_up_for_seconds_only(redises: list[Redis], redis_url: str) -> None:
    users = Users()
    users.seconds = 600
    dying = asyncio.create_task(instance(users, redises[0])(ASK))
    await until(lambda: users.asked)
    async with Client.from_url(redis_url) as raw:
        (name,) = [name async for name in raw.scan_iter()]
        assert 0 < await raw.pttl(name) <= BUYING * 1000
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    users.seconds = 0
    assert await instance(users, redises[1])(ASK) == TOKENS


async def test_without_redis_every_instance_asks_by_itself() -> None:
    away = Redis(f"redis://127.0.0.1:{free_port()}/0")
    users = Users()
    assert await instance(users, away)(ASK) == TOKENS
    assert users.asked == 1
    await away.close()
