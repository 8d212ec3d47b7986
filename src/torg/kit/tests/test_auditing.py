"""Looks cost the same however much there is, leave nothing out for long, and tell of what is wrong until it is mended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest

from torg.kit.auditing import Beginning, Busy, Fault, Inspector, Invariant, LogRounds, Place, Rounds, untold
from torg.kit.messages import Event, Registry, message
from torg.kit.store import Store
from torg.kit.tasks import Job, Supervisor
from torg.kit.testing import TestClock, open_store


@message("auditing_test.happened")
class Happened(Event, frozen=True):
    number: int


class Shelf:
    """Keys, some of them wrong, and which of them were looked at."""

    def __init__(self, size: int) -> None:
        self.keys = [f"{number:06}" for number in range(size)]
        self.wrong: set[str] = set()
        self.looked_at: list[str] = []

    async def behind(self, after: str, limit: int) -> Sequence[str]:
        return [key for key in self.keys if key > after][:limit]

    async def newest(self) -> Sequence[str]:
        return self.keys[-2:]

    async def look(self, keys: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        self.looked_at += keys
        return {key: [Fault(sentence=f"{key} is wrong")] for key in keys if key in self.wrong}


@pytest.mark.parametrize("size", [0, 10, 5_000])
async def test_a_look_takes_the_newest_and_a_slice_and_everything_comes_round(size: int) -> None:
    shelf = Shelf(size)
    rounds, looks = Rounds(shelf.behind, shelf.look, 100, shelf.newest), 0
    while not rounds.come().rounds:
        shelf.looked_at.clear()
        assert await rounds.check() == []
        assert len(shelf.looked_at) <= 102
        looks += 1
    assert (rounds.come().whole, looks) == (size, size // 100 + 1)


async def test_what_is_wrong_is_found_in_its_turn_and_told_until_it_is_mended() -> None:
    shelf = Shelf(1_000)
    rounds = Rounds(shelf.behind, shelf.look, 100)
    shelf.wrong = {"000250"}
    found = [bool(await rounds.check()) for _ in range(12)]
    assert found == [False, False, *([True] * 10)]
    shelf.wrong.clear()
    assert await rounds.check() == []


async def test_what_is_only_changing_is_right_at_the_second_look() -> None:
    shelf = Shelf(3)
    shelf.wrong = {"000001", "000002"}

    async def look(keys: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        found = await shelf.look(keys)
        shelf.wrong.discard("000001")
        return found

    assert [fault.sentence for fault in await Rounds(shelf.behind, look, 100, tries=3).check()] == ["000002 is wrong"]
    assert shelf.looked_at == ["000000", "000001", "000002", "000001", "000002", "000002"], "only those are looked at again"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "auditing_test", TestClock(), Registry([])) as opened:
        yield opened


async def put(store: Store, *numbers: int) -> None:
    async with store.transaction() as tx:
        await tx.append("s", [Happened(number) for number in numbers])


async def seen(rounds: LogRounds) -> list[int]:
    return [row.position for rows in [list(part) async for part in rounds.portions()] for row in rows]


async def test_new_rows_are_read_at_once_and_old_ones_come_round(store: Store) -> None:
    await put(store, *range(100))
    rounds = LogRounds(store.log, new=2, old=1, size=10)
    assert await seen(rounds) == [*range(80, 101), *range(1, 11)][1:], "the newest, and the first of the old"
    await put(store, 1, 2)
    assert await seen(rounds) == [101, 102, *range(11, 21)]
    looked = [position for _ in range(8) for position in await seen(rounds)]
    assert looked == list(range(21, 101))
    assert (await seen(rounds), rounds.come().rounds) == ([101, 102], 1)


async def test_where_more_is_new_than_a_look_takes_the_rest_is_left_to_the_round(store: Store) -> None:
    await put(store, 0)
    rounds = LogRounds(store.log, new=2, old=1, size=10)
    assert await seen(rounds) == [1]
    await put(store, *range(1, 1000))
    looked = await seen(rounds)
    assert len(looked) == 30
    assert looked[:20] == list(range(981, 1001))


async def test_the_beginning_is_looked_for_once_and_only_of_what_is_told() -> None:
    asked: list[str] = []

    async def check() -> list[Fault]:
        return [Fault(sentence=f"number {number}", about="order", id=str(number)) for number in range(30)]

    async def trace(fault: Fault) -> Beginning:
        asked.append(fault.id)
        return Beginning(Place("order", fault.id, 1))

    inspector = Inspector("order")
    for _ in range(2):
        found = await inspector.inspect(Invariant("order.numbers", "There are none.", check, "cancel", trace))
    assert asked == [str(number) for number in range(20)]
    assert (len(found.details), found.violations[-1]) == (20, "and 10 more")
    assert {(one.remedy, one.began.exact) for one in found.details} == {("cancel", True)}


async def test_a_violation_is_told_even_if_nobody_can_tell_since_when() -> None:
    async def check() -> list[Fault]:
        return [Fault(sentence="it is wrong")]

    async def trace(_: Fault) -> Beginning:
        raise OSError("no log")

    (told,) = (await Inspector("order").inspect(Invariant("order.x", "It is right.", check, trace=trace))).details
    assert told.began == untold("looking for it failed: OSError: no log")


async def test_only_the_time_that_others_had_to_wait_counts_as_busy() -> None:
    async def work() -> str:
        await asyncio.sleep(0.2)
        return "done"

    busy, began = Busy(work()), time.perf_counter()
    assert await busy == "done"
    assert busy.seconds < time.perf_counter() - began - 0.15


async def test_work_that_is_cancelled_hears_of_it() -> None:
    heard = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            heard.set()

    async def run() -> None:
        await Busy(work())

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard.is_set()


async def test_a_job_rests_as_long_as_it_says() -> None:
    times = 0

    async def run() -> None:
        nonlocal times
        times += 1

    supervisor = Supervisor()
    supervisor.start_job(Job("often", 3600, run, rest=lambda: 0.0))
    for _ in range(10):
        await asyncio.sleep(0)
    await supervisor.close()
    assert times > 2
