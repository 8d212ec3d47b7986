"""Supervised tasks: one that dies is told of and started again."""

from __future__ import annotations

import asyncio

import pytest

from torg.kit.errors import Unavailable
from torg.kit.tasks import Bell, Job, Supervisor, ended


async def test_a_task_that_dies_is_told_of_and_started_again():
    supervisor, started, healed = Supervisor(), 0, asyncio.Event()

    async def work() -> None:
        nonlocal started
        started += 1
        if started == 1:
            raise ValueError("broken")
        healed.set()
        await asyncio.sleep(60)

    supervisor.start("work", work)
    await asyncio.sleep(0.01)
    assert supervisor.failing == {"work": "ValueError: broken"}
    await asyncio.wait_for(healed.wait(), 60)
    await supervisor.close()
    assert started == 2


async def test_a_task_that_came_to_its_end_at_the_second_try_is_no_failing_one():
    supervisor, tries, done = Supervisor(), 0, asyncio.Event()

    async def make() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise Unavailable("the broker is away")
        done.set()

    supervisor.start("make", make)
    await asyncio.wait_for(done.wait(), 60)
    await asyncio.sleep(0)
    assert supervisor.failing == {}
    await supervisor.close()


async def test_a_job_runs_again_and_again_and_clears_its_failure():
    supervisor, runs, enough = Supervisor(), 0, asyncio.Event()

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 2:
            raise ValueError("once")
        if runs == 4:
            enough.set()

    supervisor.start_job(Job("job", 0.001, run))
    await asyncio.wait_for(enough.wait(), 60)
    assert supervisor.failing == {}
    await supervisor.close()


async def test_a_task_that_was_well_for_long_is_started_again_as_soon_as_at_first():
    supervisor, enough, deaths = Supervisor(steady_after=0.02), asyncio.Event(), 0

    async def work() -> None:
        nonlocal deaths
        await asyncio.sleep(0.03)
        deaths += 1
        if deaths == 12:
            enough.set()
        raise ValueError("now and then")

    supervisor.start("work", work)
    await asyncio.wait_for(enough.wait(), 60)  # with pauses that double each time it would be more than that
    await supervisor.close()


@pytest.mark.parametrize("turns", range(5))
async def test_job_that_is_rung_for_and_cancelled_at_the_same_time_ends(turns: int):
    bell, waited = Bell(), asyncio.Event()

    async def work() -> None:
        while True:
            waited.set()
            await bell.wait(5)

    job = asyncio.create_task(work())
    await waited.wait()
    bell.ring()
    for _ in range(turns):  # the loop's, between the ring and what it wakes
        await asyncio.sleep(0)
    job.cancel()
    done, _ = await asyncio.wait({job}, timeout=0.5)
    job.cancel()
    assert done


async def test_a_task_that_keeps_a_cancellation_to_itself_is_cancelled_again():
    lost: list[str] = []

    async def deaf() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost.append("the first one")

    supervisor, other = Supervisor(), asyncio.create_task(asyncio.sleep(60))
    supervisor.start("deaf", deaf)
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await supervisor.close()
        await ended([other])
    assert lost == ["the first one"]
    assert other.cancelled()
