"""That a process really sees another time and a broken disk, and nothing of it before and after."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.world import DISKS, World

PROGRAM = """
import os, sqlite3, sys, time
file = os.open(sys.argv[1] + "/plain", os.O_CREAT | os.O_RDWR)
store = sqlite3.connect(sys.argv[1] + "/store.db")
store.execute("pragma journal_mode=wal")
store.execute("create table thing (n)")
store.commit()
for line in sys.stdin:
    try:
        match line.strip():
            case "time": print(time.time())
            case "monotonic": print(time.monotonic())
            case "write": print(os.write(file, b"x" * 1000))
            case "sync": print(os.fsync(file))
            case "commit":
                store.execute("insert into thing values (randomblob(9000))")
                store.commit()
                print("ok")
    except (OSError, sqlite3.Error) as error:
        store.rollback()
        print(type(error).__name__, error)
    sys.stdout.flush()
"""


class Talking:
    def __init__(self, world: World, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)], env=dict(world.settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def ask(self, what: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world")


@pytest.fixture
def process(world: World, tmp_path: Path) -> Iterator[Talking]:
    talking = Talking(world, tmp_path)
    assert talking.ask("write") == "1000"
    yield talking
    talking.process.kill()
    talking.process.communicate()


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_its_wall_clock_jumps_and_nothing_else_does(world: World, process: Talking, ahead: int):
    before, since = float(process.ask("time")), float(process.ask("monotonic"))
    world.clock(process.pid, ahead)
    assert abs(float(process.ask("time")) - before - ahead) < 60
    assert abs(float(process.ask("monotonic")) - since) < 60
    world.heal()
    assert abs(float(process.ask("time")) - before) < 60


@pytest.mark.parametrize(
    ("state", "write", "sync", "commit"),
    [
        ("is full", "OSError [Errno 28] No space left on device", "None", "database or disk is full"),
        ("fails", "OSError [Errno 5] Input/output error", "OSError [Errno 5] Input/output error", "disk I/O error"),
        ("fails to sync", "1000", "OSError [Errno 5] Input/output error", ""),
        ("writes half", "500", "None", ""),
    ],
)
def test_its_disk_is_broken_until_it_is_mended(world: World, process: Talking, state: str, write: str, sync: str, commit: str):
    world.disk(process.pid, state)
    assert (process.ask("write"), process.ask("sync")) == (write, sync)
    assert commit in process.ask("commit")
    assert world.refused(process.pid) > 0
    world.disk(process.pid, "healthy")
    assert (process.ask("write"), process.ask("sync"), process.ask("commit")) == ("1000", "None", "ok")


def test_all_that_can_be_wrong_with_a_disk_is_tried():
    assert set(DISKS) == {"healthy", "is full", "fails", "fails to sync", "writes half"}
