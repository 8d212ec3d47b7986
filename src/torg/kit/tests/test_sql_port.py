"""What every SQL engine must do, on SQLite and on a PostgreSQL server: what is committed stays, what is undone never was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.kit.errors import Occupied
from torg.kit.sql.port import Database
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.testing.postgres import open_schema


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = SqliteDatabase(tmp_path / "shelf.db", sync="OFF")
        await _make(opened)
        yield opened
        await opened.close()
    else:
        async with open_schema(request.getfixturevalue("postgres_url"), "shelf") as schema:
            await _make(schema)
            yield schema


async def _make(database: Database) -> None:
    async with database.begin() as tx:
        await tx.execute("create table thing (name text primary key, count integer check (count >= 0))")


async def put(database: Database, name: str, count: int = 1) -> None:
    async with database.begin() as tx:
        await tx.execute("insert into thing (name, count) values (:name, :count)", name=name, count=count)


async def names(database: Database) -> list[str]:
    return [row["name"] for row in await database.all("select name from thing order by name")]


async def test_what_is_committed_is_read_outside(database: Database):
    await put(database, "a")
    assert await database.value("select count from thing where name = :name", name="a") == 1
    assert await database.one("select * from thing where name = 'z'") is None


async def test_nobody_outside_sees_what_is_not_committed(database: Database):
    async def look() -> list[str]:
        return await names(database)

    outside = asyncio.create_task(look())  # made here: what is made within a transaction belongs to it
    async with database.begin() as tx:
        await tx.execute("insert into thing (name, count) values ('a', 1)")
        assert await tx.value("select count(*) from thing") == 1
        assert await outside == []


async def test_an_exception_undoes_just_its_own_transaction(database: Database):
    async def fails() -> None:
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('bad', 1)")
            raise KeyError("no")

    results = await asyncio.gather(put(database, "a"), fails(), put(database, "b"), return_exceptions=True)
    assert [type(result) for result in results] == [type(None), KeyError, type(None)]
    assert await names(database) == ["a", "b"]


async def test_a_savepoint_undoes_just_what_is_inside_it(database: Database):
    async with database.begin() as tx:
        await tx.execute("insert into thing (name, count) values ('a', 1)")
        with pytest.raises(Occupied):
            async with tx.savepoint():
                await tx.execute("insert into thing (name, count) values ('b', 1)")
                await tx.execute("insert into thing (name, count) values ('a', 1)")
        async with tx.savepoint():
            await tx.execute("insert into thing (name, count) values ('c', 1)")
    assert await names(database) == ["a", "c"]


async def test_what_was_to_follow_an_undone_part_does_not(database: Database):
    told: list[str] = []
    async with database.begin() as tx:
        tx.after_commit(lambda: told.append("kept"))
        with pytest.raises(KeyError):
            async with tx.savepoint():
                tx.after_commit(lambda: told.append("undone"))
                raise KeyError
        assert told == []
    assert told == ["kept"]


async def test_the_rows_that_a_change_touched_are_counted(database: Database):
    async with database.begin() as tx:
        put = "insert into thing (name, count) values (:name, 1) on conflict do nothing"
        assert await tx.execute_many(put, [{"name": name} for name in "abca"]) == 3
        assert await tx.execute("update thing set count = count + :more", more=1) == 3
        assert await tx.execute("delete from thing where name = 'z'") == 0
    assert await database.value("select sum(count) from thing") == 6


async def test_a_cancelled_waiter_loses_nothing_and_is_still_announced(database: Database):
    announced: list[str] = []

    async def put_and_tell() -> None:
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('a', 1)")
            tx.after_commit(lambda: announced.append("a"))

    for moments in (0, 1, 2, 5, 20, 50):
        announced.clear()
        task = asyncio.create_task(put_and_tell())
        await asyncio.sleep(moments / 5000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await put(database, f"b{moments}")
        assert ("a" in await names(database)) == (announced == ["a"])
        async with database.begin() as tx:
            await tx.execute("delete from thing where name = 'a'")


async def test_one_who_fails_at_what_follows_a_commit_keeps_nobody_from_it(database: Database):
    told: list[str] = []

    def fails() -> None:
        raise ValueError("a defect")

    async with asyncio.timeout(60):
        async with database.begin() as tx:
            await tx.execute("insert into thing (name, count) values ('a', 1)")
            tx.after_commit(fails)
            tx.after_commit(lambda: told.append("a"))
    assert told == ["a"]


async def test_text_compares_by_its_bytes(database: Database):
    """Cursors and ranges of identifiers mean the same everywhere, whatever the server's language."""
    async with database.begin() as tx:
        await tx.execute(database.dialect.adapt("create table word (text text primary key)"))
        await tx.execute_many("insert into word (text) values (:text)", [{"text": text} for text in ("b", "B", "ä", "a-b", "a", "ab", "Я")])
    assert [row["text"] for row in await database.all("select text from word order by text")] == ["B", "a", "a-b", "ab", "b", "ä", "Я"]
