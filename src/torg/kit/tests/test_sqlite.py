"""What is SQLite's alone: transactions share commits, and a disk that is full. What every engine must do is in test_sql_port."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from torg.kit.errors import Unavailable
from torg.kit.sql.committer import Committer
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.telemetry import COMMITS


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    opened = SqliteDatabase(tmp_path / "shelf.db", sync="OFF")
    async with opened.begin() as tx:
        await tx.execute("create table thing (name text primary key, count integer check (count >= 0))")
    yield opened
    await opened.close()


async def put(database: SqliteDatabase, name: str, count: int = 1) -> None:
    async with database.begin() as tx:
        await tx.execute("insert into thing (name, count) values (:name, :count)", name=name, count=count)


async def test_transactions_that_wait_share_a_commit(database: SqliteDatabase):
    def commits() -> float:
        return next(s.value for m in COMMITS.collect() for s in m.samples if s.name.endswith("_count") and s.labels["context"] == "shelf")

    before = commits()
    await asyncio.gather(*(put(database, f"thing-{n}") for n in range(200)))
    assert await database.value("select count(*) from thing") == 200
    assert commits() - before < 20


async def test_a_full_disk_fails_everyone_in_the_group_and_the_next_one_works(database: SqliteDatabase):
    pages = database._writer.execute("pragma page_count").fetchone()[0]
    database._writer.execute(f"pragma max_page_count = {pages + 1}")
    big = asyncio.gather(*(put(database, "x" * 9000 + str(n)) for n in range(5)), return_exceptions=True)
    assert {type(result) for result in await big} <= {Unavailable, type(None)} and Unavailable in {type(result) for result in await big}
    database._writer.execute("pragma max_page_count = 100000")
    before = await database.value("select count(*) from thing")
    await put(database, "small")
    assert await database.value("select count(*) from thing") == before + 1


async def test_what_is_at_the_disk_is_read_by_nobody_before_it_is_safe(tmp_path: Path):
    committer = Held()
    database = SqliteDatabase(tmp_path / "shelf.db", sync="OFF", committer=committer)
    async with database.begin() as tx:
        await tx.execute("create table thing (name text primary key, count integer)")
    committer.held = True
    waits = asyncio.create_task(put(database, "new"))
    await committer.reached.wait()
    assert await database.value("select count(*) from thing") == 0
    committer.at_disk.pop()()
    await waits
    assert await database.value("select count(*) from thing") == 1
    committer.held = False
    await database.close()


class Held(Committer):
    """A disk that is busy until it is told otherwise."""

    held = False

    def __init__(self) -> None:
        super().__init__()
        self.at_disk: list[Callable[[], None]] = []
        self.reached = asyncio.Event()

    def run(self, work: Callable[[], None]) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()

        def finish() -> None:
            work()
            future.set_result(None)

        if self.held:
            self.at_disk.append(finish)
            self.reached.set()
        else:
            finish()
        return future


async def test_what_was_to_follow_a_lost_transaction_does_not_follow_the_next(database: SqliteDatabase):
    told: list[str] = []
    with pytest.raises(Unavailable):
        async with database.begin() as tx:
            tx.after_commit(lambda: told.append("lost"))
            await tx.execute("insert into thing (name, count) values ('lost', 1)")
            database._writer.rollback()  # as SQLite does by itself where the disk gives up
    await put(database, "next")
    assert told == []
    assert [row["name"] for row in await database.all("select name from thing")] == ["next"]


async def test_a_savepoint_in_a_lost_transaction_says_so(database: SqliteDatabase):
    with pytest.raises(Unavailable):
        async with database.begin() as tx:
            with pytest.raises(Unavailable):
                async with tx.savepoint():
                    database._writer.rollback()
                    raise sqlite3.OperationalError("disk I/O error")
            raise Unavailable("so whoever holds it gives up")
    await put(database, "next")
    assert [row["name"] for row in await database.all("select name from thing")] == ["next"]


async def test_a_disk_that_fills_within_a_savepoint_is_no_fault_of_what_is_in_it(database: SqliteDatabase):
    pages = database._writer.execute("pragma page_count").fetchone()[0]
    with pytest.raises(Unavailable):
        async with database.begin() as tx:
            database._writer.execute(f"pragma max_page_count = {pages}")
            async with tx.savepoint():
                await tx.execute("insert into thing (name, count) values (:name, 1)", name="x" * 100_000)
    database._writer.execute("pragma max_page_count = 100000")
    await put(database, "next")


async def test_data_survives_closing_and_opening(tmp_path: Path):
    first = SqliteDatabase(tmp_path / "kept.db")
    async with first.begin() as tx:
        await tx.execute("create table t (x)")
        await tx.execute("insert into t values (1)")
    await first.close()
    again = SqliteDatabase(tmp_path / "kept.db")
    assert await again.value("select x from t") == 1
    await again.close()


async def test_a_file_that_cannot_be_read_is_unavailable_and_no_defect(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "torn.db", sync="OFF")
    async with database.begin() as tx:
        await tx.execute("create table t (x)")
        for _ in range(200):
            await tx.execute("insert into t values (:x)", x="x" * 4000)
    await database.close()
    with (tmp_path / "torn.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 400_000)
    again = SqliteDatabase(tmp_path / "torn.db")
    with pytest.raises(Unavailable, match=r"torn.db could not be read"):
        await again.all("select * from t")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await again.one("select * from nowhere")
    await again.close()


async def test_of_those_who_wait_for_the_disk_one_is_told_at_a_time():
    committer, told, gates = Committer(), list[int](), [threading.Event(), threading.Event()]
    busy = [committer.run(partial(_held_by, gates[0]))]

    async def waits(number: int) -> None:
        await committer.rest()
        told.append(number)
        if number == 1:
            busy.append(committer.run(partial(_held_by, gates[1])))
        else:
            committer.next()

    waiting = [asyncio.create_task(waits(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert told == []
    gates[0].set()
    await asyncio.gather(*waiting[:2])
    assert told == [0, 1]  # the first has nothing to commit; the second keeps the disk busy
    await asyncio.sleep(0)
    assert not waiting[2].done()
    gates[1].set()
    await asyncio.gather(*busy, waiting[2])
    assert told == [0, 1, 2]
    assert committer.idle
    committer.close()


async def test_whoever_gives_up_waiting_for_the_disk_leaves_it_to_the_next():
    committer, gate = Committer(), threading.Event()
    busy = committer.run(partial(_held_by, gate))
    first, second = (asyncio.create_task(committer.rest()) for _ in range(2))
    await asyncio.sleep(0)
    gate.set()
    await busy
    first.cancel()  # it was told, and never goes on
    await second
    assert first.cancelled()
    committer.close()


def _held_by(gate: threading.Event) -> None:
    gate.wait()
