"""Moments at which a process can be told to die."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from torg.kit import failpoints
from torg.kit.bus.kafka_wire import Record
from torg.kit.bus.relay import Relay
from torg.kit.failpoints import UnknownFailpoint, arm, reached
from torg.kit.testing import TestClock, open_store
from torg.kit.tests.messages import REGISTRY, WasPut


@contextmanager
def watched(folder: Path, process: str = "order") -> Iterator[list[str]]:
    """At which failpoints this process would have died."""
    died: list[str] = []
    token = failpoints.watch(folder, process, died.append)
    try:
        yield died
    finally:
        failpoints.leave(token)


def test_whoever_comes_by_first_dies_and_nobody_after_it(tmp_path: Path):
    with watched(tmp_path) as died:
        reached("after commit")
        armed = arm(tmp_path, "after commit")
        reached("before commit")
        assert not died
        reached("after commit")
        reached("after commit")
    assert died == ["after commit"]
    assert not armed.exists()
    assert [file.name for file in tmp_path.iterdir()] == ["after-commit.order.died"]


def test_one_that_is_armed_for_another_process_is_passed_by(tmp_path: Path):
    arm(tmp_path, "in batch", "payment")
    with watched(tmp_path, "order") as died:
        reached("in batch")
        assert not died
    with watched(tmp_path, "payment") as died:
        reached("in batch")
        assert died == ["in batch"]


def test_nobody_looks_unless_told_to(tmp_path: Path):
    arm(tmp_path, "in batch")
    reached("in batch")
    assert (tmp_path / "in-batch").exists()


def test_a_name_that_there_is_not_is_refused(tmp_path: Path):
    with pytest.raises(UnknownFailpoint, match="there is no failpoint 'after lunch'; these are: before commit, after commit"):
        arm(tmp_path, "after lunch")
    (tmp_path / "after-lunch@order").touch()
    with pytest.raises(UnknownFailpoint, match="after lunch"):
        failpoints.watch(tmp_path, "order")
    with pytest.raises(UnknownFailpoint, match="is no folder"):
        failpoints.watch(tmp_path / "nowhere", "order")


async def test_a_relay_comes_by_before_and_after_it_tells_its_log(tmp_path: Path):
    class Kafka:
        async def send(self, records: list[Record]) -> None:
            assert died == ["before publish"]

    folder = tmp_path / "failpoints"
    folder.mkdir()
    arm(folder, "before publish")
    arm(folder, "after publish")
    async with open_store(tmp_path, "shelf", TestClock(), REGISTRY) as store:
        async with store.transaction() as tx:
            await tx.append("s", [WasPut("s", 1)])
        with watched(folder) as died:
            relaying = asyncio.create_task(Relay(store, Kafka(), REGISTRY).run())
            async with asyncio.timeout(60):
                while len(died) < 2:  # noqa: ASYNC110 nobody tells
                    await asyncio.sleep(0.01)
            relaying.cancel()
            with suppress(asyncio.CancelledError):
                await relaying
    assert died == ["before publish", "after publish"]
