"""Two processes that share what they can, as they are put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from torg.kit.auth import Identity
from torg.kit.endings import Ended, told
from torg.kit.http.cache import Keeping, Kept, Key
from torg.kit.http.sharing import Sharing
from torg.kit.redis import Redis
from torg.kit.rpc.fleet import Faces
from torg.kit.tasks import Supervisor
from torg.kit.testing.redis import emptied, redis_url
from torg.kit.testing.waiting import until
from torg.kit.tokens import Checker
from torg.kit.values import new_id

__all__ = ["redis_url"]
PAGE: Key = "/", b"", False
HOME = Keeping(60, ("products",), None)


class Process:
    """`asked` counts what it had to find out or make by itself."""

    def __init__(self, url: str) -> None:
        self.sharing, self.supervisor, self.faces = Sharing(url, "web", new_id), Supervisor(), Faces(self.authenticate, self.learn)
        self.sharing.recognise(self.faces)
        self.sharing.start(self.supervisor)
        self.asked = 0

    async def learn(self) -> Checker:
        return Checker("", {})

    async def authenticate(self, token: str) -> Identity:
        self.asked += 1
        return Identity("anna", frozenset(), "s-1")

    async def page(self) -> Kept | None:
        return self.sharing.cache.get(PAGE) or await self.sharing.cache.fetch(PAGE, HOME, self.make)

    async def make(self) -> Kept:
        self.asked += 1
        return Kept(b"home", [], b"", time.monotonic() + 60, None)


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[list[Process]]:
    async with emptied(redis_url):
        processes = [Process(redis_url) for _ in range(2)]
        await until(lambda: all(process.sharing.redis.listening for process in processes))
        yield processes
        for process in processes:
            await process.supervisor.close()
            await process.sharing.close()


async def test_a_page_is_made_once_and_purged_everywhere(fleet: list[Process]) -> None:
    for process in fleet:
        assert await process.page()
    assert [process.asked for process in fleet] == [1, 0]
    fleet[1].sharing.cache.purge("products")
    await until(lambda: not fleet[0].sharing.cache._kept)


async def test_an_identity_is_forgotten_when_its_session_ends(fleet: list[Process], redis_url: str) -> None:
    here = fleet[0]
    for _ in range(2):
        assert await here.faces("token")
    assert here.asked == 1
    (known,) = here.faces._known
    user = Redis(redis_url)
    channel, message = told(Ended(("s-1",), (known,)))
    await user.tell(channel.partition(":")[2], message)
    await until(lambda: not here.faces._known)
    await here.faces("token")
    assert here.asked == 2
    await user.close()
