"""Migrations: once, in order, unchanged, and never backwards."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from torg.kit.sql.migrate import MigrationRefused, migrate
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.testing import TestClock


def scripts(folder: Path, **named: str) -> Path:
    made = folder / "shelf" / "migrations"
    made.mkdir(parents=True, exist_ok=True)
    for name, text in named.items():
        (made / f"{name}.sql").write_text(text)
    return made


async def test_each_script_runs_once_and_in_order(tmp_path: Path):
    folder = scripts(
        tmp_path, **{"0002_more": "alter table t add column y;\n", "0001_t": "-- a table; with a comment\ncreate table t (x $identity primary key);\n"}
    )
    database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
    assert await migrate(database, [folder], TestClock()) == ["shelf/0001_t.sql", "shelf/0002_more.sql"]
    assert await migrate(database, [folder], TestClock()) == []
    await database.close()


async def test_two_that_start_at_once_do_it_once(tmp_path: Path):
    folder = scripts(tmp_path, **{"0001_t": "create table t (x);\n"})

    async def start() -> list[str]:
        database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
        try:
            return await migrate(database, [folder], TestClock())
        finally:
            await database.close()

    done = await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(start())) for _ in range(4)))
    assert sorted(map(len, done)) == [0, 0, 0, 1]


async def test_a_changed_script_is_refused(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
    await migrate(database, [scripts(tmp_path, **{"0001_t": "create table t (x);\n"})], TestClock())
    with pytest.raises(MigrationRefused, match="changed after"):
        await migrate(database, [scripts(tmp_path, **{"0001_t": "create table t (x, y);\n"})], TestClock())
    await database.close()


async def test_an_older_version_goes_on_beside_what_a_newer_one_has_added(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
    folder = scripts(tmp_path, **{"0001_t": "create table t (x);\n", "0002_u": "create table u (x);\n"})
    await migrate(database, [folder], TestClock())
    (folder / "0002_u.sql").unlink()
    assert await migrate(database, [folder], TestClock()) == []
    await database.close()


async def test_a_version_that_needs_what_a_newer_one_took_away_is_refused(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
    contract = "-- contract: nothing older than shelf/0002_u.sql runs any more\ndrop table t;\n"
    folder = scripts(tmp_path, **{"0001_t": "create table t (x);\n", "0002_u": "create table u (x);\n", "0003_gone": contract})
    await migrate(database, [folder], TestClock())
    (folder / "0003_gone.sql").unlink()
    assert await migrate(database, [folder], TestClock()) == [], "the version before it does without t already"
    (folder / "0002_u.sql").unlink()
    with pytest.raises(MigrationRefused, match=r"newer version of Torg.*shelf/0003_gone"):
        await migrate(database, [folder], TestClock())
    await database.close()


async def test_a_failing_script_leaves_nothing_behind(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "a.db", sync="OFF")
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        await migrate(database, [scripts(tmp_path, **{"0001_t": "create table t (x);\ncreate tabel u (x);\n"})], TestClock())
    assert await database.all("select name from sqlite_master") == []
    await database.close()
