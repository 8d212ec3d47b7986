"""The saga runner over a real store: what its rows survive."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torg.kit.errors import DomainError
from torg.kit.messages import Command, Event, Registry, message
from torg.kit.saga import Saga, Step
from torg.kit.saga_runner import SagaRunner
from torg.kit.store import Store
from torg.kit.testing import START, TestClock, open_store, test_ids


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


async def test_one_saga_that_cannot_go_on_does_not_hold_up_the_deadlines_of_others(tmp_path: Path):
    async with kitchen(tmp_path) as store:
        clock = store.clock
        assert isinstance(clock, TestClock)

        def bake(cake: Cake) -> Bake:
            if cake.name == "burnt" and clock() > START:
                raise ValueError("a defect")
            return Bake(cake.name)

        sagas, saga = runner(store, Step("bake", Bake, make=bake, done=Baked))
        async with store.transaction() as tx:
            for name in ("burnt", "sponge"):
                await sagas.start(tx, saga, name, Cake(name))
        clock.advance(minutes=1)
        await sagas.work_on_deadlines()
        assert [row.message for row in await store.log.tail(2, 100)] == [Bake("sponge")]


async def test_a_clock_that_was_ahead_makes_no_saga_wait_longer(tmp_path: Path):
    async with kitchen(tmp_path) as store:
        clock = store.clock
        assert isinstance(clock, TestClock)
        sagas, saga = runner(store, BAKE)
        await sagas.work_on_deadlines()
        clock.advance(hours=1)
        async with store.transaction() as tx:
            await sagas.start(tx, saga, "sponge", Cake("sponge"))
        await sagas.work_on_deadlines()
        clock.advance(hours=-1)
        await sagas.work_on_deadlines()
        assert await asked(store) == ["oven.bake"]
        clock.advance(seconds=11)
        await sagas.work_on_deadlines()
        assert await asked(store) == ["oven.bake", "oven.bake"]


UNDOABLE: Step[Cake] = Step("bake", Bake, make=lambda cake: Bake(cake.name), done=Baked, undo=Ice, make_undo=lambda cake, _: Ice(cake.name))


@pytest.mark.parametrize(("first", "baked", "possible"), [(UNDOABLE, False, True), (BAKE, False, False), (BAKE, True, False)])
async def test_a_saga_that_could_not_be_undone_is_not_given_up(tmp_path: Path, first: Step[Cake], baked: bool, possible: bool):
    async with kitchen(tmp_path) as store:
        sagas, saga = runner(store, first, ICE)
        async with store.transaction() as tx:
            saga_id = await sagas.start(tx, saga, "sponge", Cake("sponge"))
        if baked:
            await sagas.answers()[Baked](Baked("sponge"))
        async with store.transaction() as tx:
            if possible:
                assert (await sagas.compensate(tx, saga_id, "given up")).status == "compensating"
            else:
                with pytest.raises(DomainError, match="cannot be undone"):
                    await sagas.compensate(tx, saga_id, "given up")


async def test_an_answer_to_another_saga_about_the_same_is_not_taken_for_ones_own(tmp_path: Path):
    async with kitchen(tmp_path) as store:
        saga = Saga(name="cake", state=Cake, subject=lambda _: "kitchen", steps=(BAKE,), concerns=lambda cake, event: event.cake == cake.name)
        sagas = SagaRunner(store, [saga], test_ids())
        async with store.transaction() as tx:
            await sagas.start(tx, saga, "kitchen", Cake("sponge"))
        for cake, status in (("another", "running"), ("sponge", "completed")):
            await sagas.answers()[Baked](Baked(cake))
            assert [found.status for found in await sagas.of("kitchen")] == [status]
