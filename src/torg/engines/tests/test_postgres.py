from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg
import pytest

from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.testing.engines import served

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def postgres() -> Iterator[tuple[Place, Mapping[str, str]]]:
    with served("postgres") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to kill")
        yield place, settings


def asked(settings: Mapping[str, str], *statements: str) -> Any:
    """What the last of the statements gives."""

    async def ask() -> Any:
        connection = await asyncpg.connect(settings["TORG_DB"])
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(ask())


def test_postgres_is_a_recent_one_that_keeps_its_promises(postgres: tuple[Place, Mapping[str, str]]) -> None:
    _, settings = postgres
    assert int(asked(settings, "show server_version_num")) >= 150000
    assert [asked(settings, f"show {name}") for name in ("fsync", "synchronous_commit", "full_page_writes", "max_connections")] == ["on", "on", "on", "300"]
    assert asked(settings, "show server_encoding") == "UTF8"
    assert asked(settings, "select lower('КРОССОВКИ')") == "кроссовки"


def test_role_may_make_roles_and_schemas_but_is_no_superuser(postgres: tuple[Place, Mapping[str, str]]) -> None:
    _, settings = postgres
    assert asked(settings, "select rolcreaterole and not rolsuper from pg_roles where rolname = current_user")
    assert asked(settings, "create role ledger login password 'x'", "create schema ledger", "select has_schema_privilege('ledger', 'create')")


def test_wrong_password_is_refused(postgres: tuple[Place, Mapping[str, str]]) -> None:
    _, settings = postgres
    with pytest.raises(asyncpg.InvalidPasswordError):
        asked({"TORG_DB": settings["TORG_DB"].replace("torg:", "torg:not-", 1)}, "select 1")


def test_what_was_committed_survives_the_postmasters_death(postgres: tuple[Place, Mapping[str, str]]) -> None:
    place, settings = postgres
    engine = named("postgres")
    asked(settings, "create table kept (n int)", "insert into kept select * from generate_series(1, 1000)", "select 1")
    started = run.running(place)
    assert started
    os.kill(started.pid, signal.SIGKILL)
    assert processes.gone(started.pid, started.mark, 60)
    assert engine.fault(place)
    run.start(engine, place, print)
    assert asked(settings, "select count(*) from kept") == 1000


def test_open_connection_does_not_keep_the_server_from_ending(postgres: tuple[Place, Mapping[str, str]]) -> None:
    place, settings = postgres
    told: list[str] = []

    async def hold() -> None:
        connection = await asyncpg.connect(settings["TORG_DB"])
        assert await asyncio.to_thread(run.stop, named("postgres"), place, told.append)
        connection.terminate()

    asyncio.run(hold())
    assert told == ["ended"]
    run.start(named("postgres"), place, print)
