"""What a gateway forgets when a log tells of a change, and what it believes while none can be heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.adapters.purges_log import Follower
from torg.contexts.gateway.model.keeping import Kept, Key
from torg.kit.errors import Forbidden, Unavailable
from torg.kit.rpc.messages import ChangedTags, FollowChanges
from torg.kit.tasks import Supervisor
from torg.kit.testing.waiting import until

CONTEXTS = ("catalog", "inventory")


class Logs:
    """What the logs of two contexts make out of date, asked as other processes ask."""

    def __init__(self) -> None:
        self.tags: dict[str, list[str]] = {context: [] for context in CONTEXTS}
        self.grown = asyncio.Event()
        self.refuses: Exception | None = None

    def tell(self, context: str, tag: str) -> None:
        self.tags[context].append(tag)
        self.grown.set()

    async def __call__(self, context: str, query: FollowChanges) -> ChangedTags:
        if self.refuses:
            raise self.refuses
        tags = self.tags[context]
        if query.after == len(tags):
            self.grown.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self.grown.wait()
        return ChangedTags(tuple(tags[query.after :]) if query.after >= 0 else (), len(tags))


class House:
    def __init__(self) -> None:
        self.logs, self.answers, self.supervisor = Logs(), MemoryAnswers(1 << 20), Supervisor()
        self.follower = Follower(self.logs, self.answers, CONTEXTS)  # type: ignore[arg-type]  # it is asked as Asking is

    async def keep(self, *tags: str) -> Key:
        """Something of long ago, so that nothing of just now shortens its life."""
        now = time.monotonic()
        key = Key(b"shop", ("/" + "+".join(tags)).encode(), b"", False)
        assert await self.answers.keep(key, Kept([], b"", b"", tags, now, now + 60, now + 60, now + 60, False), self.answers.now())
        return key

    async def start(self) -> None:
        self.follower.start(self.supervisor)
        await until(self.follower.hearing)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    house = House()
    yield house
    await house.supervisor.close()


async def test_a_change_that_a_log_tells_of_purges_what_depends_on_it(house: House):
    await house.start()
    one, two = await house.keep("product:1", "catalog"), await house.keep("product:2")
    house.logs.tell("catalog", "product:1")
    await until(lambda: house.answers.held(one) is None)
    assert house.answers.held(two) is not None
    house.logs.tell("inventory", "product:2")
    await until(lambda: house.answers.held(two) is None)


async def test_what_was_kept_before_a_log_is_heard_is_forgotten(house: House):
    early = await house.keep("product:1")
    await house.start()
    assert house.answers.held(early) is None


@pytest.mark.parametrize("refusal", [Unavailable("it does not answer"), Forbidden("rpc.caller", "not this one")])
async def test_what_was_told_while_nobody_listened_is_heard_later(house: House, refusal: Exception):
    await house.start()
    one = await house.keep("product:1")
    house.logs.refuses = refusal
    await asyncio.sleep(0.1)
    house.logs.tell("catalog", "product:1")
    assert house.answers.held(one) is not None
    house.logs.refuses = None
    await until(lambda: house.answers.held(one) is None)
    assert not house.supervisor.failing


async def test_nothing_is_heard_before_the_first_word(house: House):
    house.logs.refuses = Unavailable("it does not answer")
    house.follower.start(house.supervisor)
    await asyncio.sleep(0.05)
    assert not house.follower.hearing()
