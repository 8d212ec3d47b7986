"""What a context tells gateways of its log: tags, and where it has come to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.kit.bus import Failures
from torg.kit.errors import NotFound
from torg.kit.operations import Desk
from torg.kit.rpc.changes import Changes
from torg.kit.rpc.logs import Waiting
from torg.kit.rpc.messages import ChangedTags, FollowChanges
from torg.kit.store import Store
from torg.kit.testing import open_store
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import utc_now


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "shelf", utc_now, REGISTRY) as store:
        yield store


@pytest.fixture
def changes(shelf: Store) -> Changes:
    desk = Desk("shelf", shelf, Failures(shelf, REGISTRY))
    return Changes({"shelf": desk}, REGISTRY, Waiting(), {WasPut: lambda event: [f"shelf:{event.shelf}"]})


async def put(shelf: Store, *names: str) -> None:
    async with shelf.transaction() as tx:
        await tx.append("s1", [WasPut(name, 1) for name in names])


def behind(position: int, wait: float = 0) -> FollowChanges:
    return FollowChanges(context="shelf", after=position, wait=wait)


async def test_it_begins_where_the_log_ends_now(shelf: Store, changes: Changes):
    await put(shelf, "old")
    end = await changes(behind(-1))
    assert end == ChangedTags((), 1)
    await put(shelf, "b", "a", "b")
    assert await changes(behind(end.until)) == ChangedTags(("shelf:a", "shelf:b"), 4)


async def test_it_waits_for_what_is_to_come_and_not_for_ever(shelf: Store, changes: Changes):
    waiting = asyncio.ensure_future(changes(behind(0, wait=10)))
    await asyncio.sleep(0.02)
    await put(shelf, "new")
    assert await waiting == ChangedTags(("shelf:new",), 1)
    assert await changes(behind(1, wait=0.01)) == ChangedTags((), 1)


async def test_a_log_that_is_not_here_is_named(changes: Changes):
    with pytest.raises(NotFound, match="no log of cellar"):
        await changes(FollowChanges(context="cellar", after=0))
