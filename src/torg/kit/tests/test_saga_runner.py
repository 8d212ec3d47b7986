"""The saga runner over a real store: what its rows survive."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from torg.kit.messages import Command, Event, Registry, message
from torg.kit.saga import Saga, Step
from torg.kit.saga_runner import SagaRunner
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store, test_ids


@message("oven.bake")
class Bake(Command[None], frozen=True):
    cake: str


@message("oven.baked")
class Baked(Event, frozen=True):
    cake: str


@message("oven.ice")
class Ice(Command[None], frozen=True):
    cake: str


@message("oven.iced")
class Iced(Event, frozen=True):
    cake: str


class Cake(msgspec.Struct, frozen=True):
    name: str


BAKE: Step[Cake] = Step("bake", Bake, make=lambda cake: Bake(cake.name), done=Baked)
ICE: Step[Cake] = Step("ice", Ice, make=lambda cake: Ice(cake.name), done=Iced)


@asynccontextmanager
async def kitchen(folder: Path) -> AsyncIterator[Store]:
    async with open_store(folder, "kitchen", TestClock(), Registry([sys.modules[__name__]])) as store:
        yield store


def runner(store: Store, *steps: Step[Any]) -> tuple[SagaRunner, Saga[Any]]:
    saga = Saga(name="cake", state=Cake, subject=attrgetter("cake"), steps=steps)
    return SagaRunner(store, [saga], test_ids()), saga


async def asked(store: Store) -> list[str]:
    return [row.message.NAME for row in await store.log.tail(0, 100)]


async def test_step_that_was_added_meanwhile_is_done_by_a_saga_under_way(tmp_path: Path):
    async with kitchen(tmp_path) as store:
        before, saga = runner(store, BAKE)
        async with store.transaction() as tx:
            await before.start(tx, saga, "sponge", Cake("sponge"))
        after, _ = runner(store, BAKE, ICE)
        await after.answers()[Baked](Baked("sponge"))
        [under_way] = await after.of("sponge")
        assert (under_way.status, under_way.current, await asked(store)) == ("running", "ice", ["oven.bake", "oven.ice"])
        await after.answers()[Iced](Iced("sponge"))
        [ended] = await after.of("sponge")
        assert (ended.status, [step.status for step in ended.steps]) == ("completed", ["completed", "completed"])


async def test_saga_that_ended_before_a_step_was_added_can_still_be_read(tmp_path: Path):
    async with kitchen(tmp_path) as store:
        before, saga = runner(store, BAKE)
        async with store.transaction() as tx:
            await before.start(tx, saga, "sponge", Cake("sponge"))
        await before.answers()[Baked](Baked("sponge"))
        [ended], _ = await runner(store, BAKE, ICE)[0].page("completed", "", 10)
        assert [(step.name, step.status) for step in ended.steps] == [("bake", "completed"), ("ice", "pending")]
