"""Reading from a streaming replica: nothing that was acknowledged is missed where it must not be, and a replica that is late or away is passed by."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.settings import BadSettings, Settings
from torg.kit.sql.committer import Committer
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.opening import open_database
from torg.kit.sql.postgres import Address, PostgresDatabase, connect
from torg.kit.telemetry import RELAXED
from torg.kit.testing import TestClock
from torg.kit.testing.engines import served
from torg.kit.testing.postgres import Standby, open_schema, standby_of
from torg.kit.testing.waiting import until

pytestmark = pytest.mark.slow
PAUSE, PAUSED, RESUME = "select pg_wal_replay_pause()", "select pg_get_wal_replay_pause_state() = 'paused'", "select pg_wal_replay_resume()"
LATE = 3.0  # seconds that a reader may be behind


@pytest.fixture(scope="module")
def server() -> Iterator[Place]:
    outside = os.environ.pop("TORG_TEST_POSTGRES", "")
    try:
        with served("postgres") as (place, _):
            assert place is not None
            yield place
    finally:
        if outside:
            os.environ["TORG_TEST_POSTGRES"] = outside


class Pair:
    """A schema on a primary, as two instances see it, and the replica."""

    def __init__(self, standby: Standby, first: PostgresDatabase, second: PostgresDatabase) -> None:
        self.standby, self.first, self.second = standby, first, second

    async def put(self, name: str) -> None:
        async with self.first.begin() as tx:
            await tx.execute("insert into thing (name) values (:name)", name=name)

    async def names(self, behind: float, database: PostgresDatabase | None = None) -> list[str]:
        return [row["name"] for row in await (database or self.second).relaxed(behind).all("select name from thing order by name")]

    def answered_by(self, who: str) -> float:
        return float(RELAXED.labels(self.second.context, who)._value.get())


@pytest.fixture
async def pair(server: Place) -> AsyncIterator[Pair]:
    url = named("postgres").settings(server)["TORG_DB"]
    async with open_schema(url, "shelf") as database, standby_of(server) as standby:
        await migrate(database, [KIT], TestClock())
        async with database.begin() as tx:
            await tx.execute("create table thing (name text primary key)")
        second = await connect(Address(url, database.context), standby.url(url))
        try:
            yield Pair(standby, database, second)
        finally:
            await second.close()


async def stands_still(standby: Standby) -> None:
    """Once it replays nothing: to ask for that is not to have it."""
    await standby.ask(PAUSE)
    await until(lambda: standby.ask(PAUSED))


async def served_by_the_replica(pair: Pair, behind: float = 0) -> bool:
    before = pair.answered_by("replica")
    await pair.names(behind)
    return pair.answered_by("replica") > before


async def test_a_replica_answers_and_misses_nothing_that_was_acknowledged(pair: Pair):
    await until(lambda: served_by_the_replica(pair))
    for number in range(100):
        await pair.put(f"thing {number:03}")
        assert len(await pair.names(0)) == number + 1, "what one instance has acknowledged, the other shows"
    await until(lambda: served_by_the_replica(pair))  # and it has not fallen behind for good


async def test_a_late_replica_is_passed_by_where_nothing_may_be_missing(pair: Pair):
    await until(lambda: served_by_the_replica(pair))
    await stands_still(pair.standby)
    await pair.put("new")
    late = pair.answered_by("replica")
    for _ in range(20):
        assert await pair.names(0) == ["new"]
    assert pair.answered_by("replica") == late
    assert await pair.names(30) == [], "who may be half a minute behind is"
    await pair.standby.ask(RESUME)
    await until(lambda: served_by_the_replica(pair))
    assert await pair.names(0) == await pair.names(30) == ["new"]


async def test_a_replica_that_is_later_than_allowed_is_passed_by(pair: Pair):
    await until(lambda: served_by_the_replica(pair, LATE))
    await stands_still(pair.standby)
    await pair.put("new")
    seen: list[tuple[float, bool]] = []
    began = time.monotonic()
    while not seen or seen[-1][0] < LATE + 0.5:
        passed = time.monotonic() - began
        seen.append((passed, await pair.names(LATE) == ["new"]))
        await asyncio.sleep(0.02)
    assert all(new for passed, new in seen if passed > LATE), "further behind than it may be"
    assert not all(new for passed, new in seen if passed < LATE / 2), "it may be a little behind"
    await pair.standby.ask(RESUME)


async def test_a_replica_that_is_away_is_passed_by_and_comes_back(pair: Pair):
    await until(lambda: served_by_the_replica(pair))
    await asyncio.to_thread(pair.standby.stop)
    await pair.put("new")
    for _ in range(20):
        assert await pair.names(0) == await pair.names(5) == ["new"]
    await asyncio.to_thread(pair.standby.start)
    await pair.standby.ask("select 1")
    await until(lambda: served_by_the_replica(pair))


async def test_a_replica_that_was_made_a_primary_is_none_any_more(pair: Pair):
    await until(lambda: served_by_the_replica(pair))
    assert await pair.standby.ask("select pg_promote()")
    await pair.put("new")
    for _ in range(10):
        assert await pair.names(0) == ["new"]


async def test_a_process_starts_although_the_replica_does_not_answer(server: Place):
    url = named("postgres").settings(server)["TORG_DB"]
    async with open_schema(url, "shelf") as database:
        lonely = await connect(Address(url, database.context), "postgresql://torg@127.0.0.1:1/torg")
        assert await lonely.relaxed(5).value("select 1") == 1
        await lonely.close()


async def test_a_relaxed_read_within_a_transaction_is_refused(pair: Pair):
    async with pair.second.begin():
        with pytest.raises(RuntimeError, match="ask the transaction"):
            pair.second.relaxed(0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(db_replica="postgresql://r/x"), "TORG_DB_REPLICA names a replica, but TORG_DB names no database"),
        (Settings(replicas={"order": "postgresql://r/x"}), "TORG_ORDER_DB_REPLICA names a replica, but TORG_DB names no"),
        (Settings(db="postgresql://p/x", db_replica="mysql://r/x"), "TORG_DB_REPLICA begins with mysql:"),
    ],
)
async def test_replicas_that_fit_no_database_are_refused(tmp_path: Path, settings: Settings, said: str):
    with pytest.raises(BadSettings, match=said):
        await open_database(settings, "order", tmp_path, Committer())
