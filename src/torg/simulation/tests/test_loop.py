"""Made-up time, drawn order, and processes that stop and die."""

from __future__ import annotations

import asyncio
import time
from random import Random

import pytest

from torg.simulation.loop import Endless, SimulatedLoop, made_up_time
from torg.simulation.processes import Process


def test_an_hour_passes_at_once_and_to_everybody():
    loop = SimulatedLoop(Random("hour"), now=5)

    async def sleep() -> tuple[float, float]:
        began = time.monotonic()
        await asyncio.sleep(3600)
        return began, time.monotonic()

    real = time.monotonic()
    with made_up_time(loop):
        began, ended = loop.run_until_complete(sleep())
    loop.throw_away()
    assert 5 <= began < 6
    assert 3605 <= ended < 3606
    assert time.monotonic() - real < 60


def order(seed: str) -> list[int]:
    loop, done = SimulatedLoop(Random(seed)), list[int]()

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    async def all_() -> None:
        await asyncio.gather(*(work(number) for number in range(8)))

    loop.run_until_complete(all_())
    loop.throw_away()
    return done


def test_the_order_of_tasks_is_drawn_and_the_same_for_the_same_seed():
    assert order("a") == order("a")
    assert len({tuple(order(str(seed))) for seed in range(10)}) > 5


def test_callbacks_keep_their_order():
    loop, done = SimulatedLoop(Random("callbacks")), list[int]()

    async def ask() -> None:
        for number in range(8):
            loop.call_soon(done.append, number)
        await asyncio.sleep(0)

    loop.run_until_complete(ask())
    loop.throw_away()
    assert done == list(range(8))


def test_what_a_thread_would_do_happens_and_fails_as_there():
    loop = SimulatedLoop(Random("threads"))

    async def ask() -> int:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return await asyncio.to_thread(lambda: 42)

    assert loop.run_until_complete(ask()) == 42
    loop.throw_away()


def test_a_paused_process_goes_on_where_it_was_and_a_dead_one_never():
    loop, done = SimulatedLoop(Random("processes")), list[str]()
    paused, dead = Process("paused", "10.0.0.1"), Process("dead", "10.0.0.2")

    async def work(name: str) -> None:
        try:
            for number in range(3):
                await asyncio.sleep(1)
                done.append(f"{name} {number}")
        finally:
            done.append(f"{name} ends")

    async def all_() -> None:
        working = [loop.create_task(work(process.name), context=process.inside()) for process in (paused, dead)]
        await asyncio.sleep(1.5)
        paused.pause()
        dead.kill()
        await asyncio.sleep(10)
        assert sorted(done) == ["dead 0", "paused 0"]
        paused.resume(loop.again)
        await asyncio.sleep(10)
        assert [task.done() for task in working] == [True, False]

    loop.run_until_complete(all_())
    assert done[-3:] == ["paused 1", "paused 2", "paused ends"]
    assert "dead ends" not in done
    loop.throw_away()


def test_waiting_for_nothing_is_told():
    loop = SimulatedLoop(Random("nothing"))

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Endless, match="nothing will ever happen"):
        loop.run_until_complete(wait())
    loop.throw_away()
