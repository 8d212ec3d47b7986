"""The SQLite adapter: what is committed stays, what is undone never was, and transactions share commits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.kit.errors import Unavailable
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


async def test_what_is_committed_is_read_outside(database: SqliteDatabase):
    await put(database, "a")
    assert await database.value("select count from thing where name = :name", name="a") == 1
    assert await database.one("select * from thing where name = 'z'") is None


async def test_an_exception_undoes_just_its_own_transaction(database: SqliteDatabase):
    async def fails() -> None:
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('bad', 1)")
            raise KeyError("no")

    results = await asyncio.gather(put(database, "a"), fails(), put(database, "b"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), KeyError, type(None)]
    assert [row["name"] for row in await database.all("select name from thing order by name")] == ["a", "b"]


async def test_a_savepoint_undoes_just_what_is_inside_it(database: SqliteDatabase):
    async with database.begin() as tx:
        await tx.execute("insert into thing (name, count) values ('a', 1)")
        with pytest.raises(sqlite3.IntegrityError):
            async with tx.savepoint():
                await tx.execute("insert into thing (name, count) values ('b', 1)")
                await tx.execute("insert into thing (name, count) values ('a', 1)")
    assert [row["name"] for row in await database.all("select name from thing")] == ["a"]


async def test_what_was_to_follow_an_undone_part_does_not(database: SqliteDatabase):
    told: list[str] = []
    async with database.begin() as tx:
        tx.after_commit(lambda: told.append("kept"))
        with pytest.raises(KeyError):
            async with tx.savepoint():
                tx.after_commit(lambda: told.append("undone"))
                raise KeyError
    assert told == ["kept"]


async def test_transactions_that_wait_share_a_commit(database: SqliteDatabase):
    def commits() -> float:
        return next(s.value for m in COMMITS.collect() for s in m.samples if s.name.endswith("_count") and s.labels["context"] == "shelf")

    before = commits()
    await asyncio.gather(*(put(database, f"thing-{n}") for n in range(200)))
    assert await database.value("select count(*) from thing") == 200
    assert commits() - before < 20


async def test_a_cancelled_waiter_loses_nothing_and_is_still_announced(database: SqliteDatabase):
    announced: list[str] = []

    async def put_and_tell() -> None:
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('a', 1)")
            tx.after_commit(lambda: announced.append("a"))

    task = asyncio.create_task(put_and_tell())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await put(database, "b")
    names = {row["name"] for row in await database.all("select name from thing")}
    assert ("a" in names) == (announced == ["a"])


async def test_a_full_disk_fails_everyone_in_the_group_and_the_next_one_works(database: SqliteDatabase):
    pages = database._writer.execute("pragma page_count").fetchone()[0]
    database._writer.execute(f"pragma max_page_count = {pages + 1}")
    big = asyncio.gather(*(put(database, "x" * 9000 + str(n)) for n in range(5)), return_exceptions=True)
    assert {type(result) for result in await big} <= {Unavailable, type(None)} and Unavailable in {type(result) for result in await big}
    database._writer.execute("pragma max_page_count = 100000")
    before = await database.value("select count(*) from thing")
    await put(database, "small")
    assert await database.value("select count(*) from thing") == before + 1


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


async def test_one_who_fails_at_what_follows_a_commit_keeps_nobody_from_it(database: SqliteDatabase):
    told: list[str] = []

    def fails() -> None:
        raise ValueError("a defect")

    async with asyncio.timeout(2):
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('a', 1)")
            tx.after_commit(fails)
            tx.after_commit(lambda: told.append("a"))
    assert told == ["a"]


async def test_data_survives_closing_and_opening(tmp_path: Path):
    first = SqliteDatabase(tmp_path / "kept.db")
    async with first.begin() as tx:
        await tx.execute("create table t (x)")
        await tx.execute("insert into t values (1)")
    await first.close()
    again = SqliteDatabase(tmp_path / "kept.db")
    assert await again.value("select x from t") == 1
    await again.close()
