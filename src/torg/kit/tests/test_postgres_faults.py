"""A PostgreSQL server that dies, and connections that break: nothing that was acknowledged is lost, nothing is acknowledged that may not have been."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from torg.engines import run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.calls import undisturbed
from torg.kit.errors import Unavailable
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.postgres import PostgresDatabase
from torg.kit.testing import TestClock
from torg.kit.testing.engines import served
from torg.kit.testing.postgres import open_schema
from torg.kit.testing.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Place]:
    """One of our own, to be killed."""
    outside = os.environ.pop("TORG_TEST_POSTGRES", "")
    try:
        with served("postgres") as (place, _):
            assert place is not None, "this server is ours to kill"
            yield place
    finally:
        if outside:
            os.environ["TORG_TEST_POSTGRES"] = outside


@pytest.fixture
async def database(server: Place) -> AsyncIterator[PostgresDatabase]:
    async with open_schema(named("postgres").settings(server)["TORG_DB"], "shelf", connections=6) as opened:
        await migrate(opened, [KIT], TestClock())
        async with opened.begin() as tx:
            await tx.execute("create table thing (number integer primary key, holder integer not null)")
        yield opened


class Writers:
    """They put numbered things, each until it is acknowledged, and remember which were."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.acknowledged, self.unsure, self.refused = set[int](), set[int](), 0
        self._next, self._tasks = 0, list[asyncio.Task[None]]()

    def start(self, writers: int) -> None:
        self._tasks = [asyncio.create_task(self._write(holder)) for holder in range(writers)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, holder: int) -> None:
        while True:
            self._next += 1
            number = self._next
            self.unsure.add(number)
            try:
                await self._put(number, holder)
            except Unavailable:
                self.refused += 1
                await asyncio.sleep(0.02)
            else:
                self.acknowledged.add(number)

    async def _put(self, number: int, holder: int) -> None:
        async def put() -> None:
            async with self._database.begin() as tx:
                await tx.execute("insert into thing (number, holder) values (:number, :holder)", number=number, holder=holder)

        await undisturbed(put, "put", self._database.lane)

    async def reach(self, many: int) -> None:
        async with asyncio.timeout(60):
            while len(self.acknowledged) < many:  # noqa: ASYNC110 they are counted, nobody tells
                await asyncio.sleep(0.01)


async def kept(database: PostgresDatabase) -> set[int]:
    return {row["number"] for row in await database.all("select number from thing")}


async def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged(server: Place, database: PostgresDatabase):
    writers = Writers(database)
    writers.start(12)
    for _ in range(2):
        await writers.reach(len(writers.acknowledged) + 200)
        await asyncio.to_thread(_crash, server)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(run.start, named("postgres"), server, lambda _: None)
    await writers.reach(len(writers.acknowledged) + 200)  # the pool has come back by itself
    await writers.stop()
    there = await kept(database)
    assert writers.refused > 0, "nobody noticed the crash"
    assert writers.acknowledged <= there <= writers.unsure


def _crash(server: Place) -> None:
    """As `pg_ctl stop -m immediate`: no checkpoint, every connection is cut."""
    started = run.running(server)
    assert started
    os.kill(started.pid, signal.SIGQUIT)
    for _ in range(3000):
        if not run.running(server):
            return
        time.sleep(0.02)
    raise AssertionError("the server does not end")


async def test_a_connection_that_is_cut_during_the_commit_is_no_success(database: PostgresDatabase):
    """Here the commit did not happen, for all its caller can know."""
    await database.execute_alone("create function dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(600); return null; end $$")
    await database.execute_alone(
        "create constraint trigger dawdling after insert on thing deferrable initially deferred for each row execute function dawdle()"
    )
    told: list[str] = []

    async def put() -> None:
        async with database.begin() as tx:
            await tx.execute("insert into thing (number, holder) values (1, 1)")
            tx.after_commit(lambda: told.append("done"))

    putting = asyncio.create_task(put())
    await _cut(database, "commit")
    with pytest.raises(Unavailable):
        await putting
    assert (await kept(database), told) == (set(), [])


async def test_a_commit_whose_answer_is_lost_is_no_success_though_it_happened(server: Place, database: PostgresDatabase):
    """The commit waits for a standby that is not there: it is durable, and its connection is cut before it says so."""
    await _configure(server, "alter system set synchronous_standby_names = 'nobody'")
    try:
        told: list[str] = []

        async def put() -> None:
            async with database.begin() as tx:
                await tx.execute("insert into thing (number, holder) values (1, 1)")
                tx.after_commit(lambda: told.append("done"))

        putting = asyncio.create_task(put())
        await _cut(database, "commit")
        with pytest.raises(Unavailable):
            await putting
        assert (await kept(database), told) == ({1}, [])
    finally:
        await _configure(server, "alter system reset synchronous_standby_names")


async def _configure(server: Place, statement: str) -> None:
    """Until every process of the server goes by it: new ones do, so all have been told, and the one that says whether commits wait has looked since then."""
    before = await _asked(server, "show synchronous_standby_names")
    await _asked(server, statement)
    await _asked(server, "select pg_reload_conf()")

    async def in_force() -> bool:
        return bool(await _asked(server, "show synchronous_standby_names") != before)

    await until(in_force)
    await _asked(server, "checkpoint")


async def _asked(server: Place, statement: str) -> Any:
    password = (server.data / "password").read_text().strip()
    administrator = await asyncpg.connect(host="127.0.0.1", port=server.port, user="postgres", password=password, database="postgres", ssl=False)
    try:
        return await administrator.fetchval(statement)
    finally:
        await administrator.close()


async def _cut(database: PostgresDatabase, doing: str) -> None:
    """Ends the connection that is doing this, once it does."""
    statement = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query = :doing and state = 'active' and application_name = :name"
    async with asyncio.timeout(60):
        while not await database.value(statement, doing=doing, name=f"torg {database.context}"):  # noqa: ASYNC110 nobody tells
            await asyncio.sleep(0.01)


async def test_a_server_that_is_ended_in_order_is_unavailable_until_it_is_back(server: Place, database: PostgresDatabase):
    async with database.begin() as tx:
        await tx.execute("insert into thing (number, holder) values (1, 1)")
    await asyncio.to_thread(run.stop, named("postgres"), server, lambda _: None)
    with pytest.raises(Unavailable):
        await database.value("select 1")
    with pytest.raises(Unavailable):
        async with database.begin():
            pass
    await asyncio.to_thread(run.start, named("postgres"), server, lambda _: None)
    assert await kept(database) == {1}
