"""Tables parted by month: rows lie in their month, looking for one reads one, a month goes as a whole, and one that is made late takes what is its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest

from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.postgres import Address, PostgresDatabase, connect
from torg.kit.sql.postgres.months import detach_month, first_id, following, keep_months, month_of
from torg.kit.store import Store
from torg.kit.testing import Held, PatientLog, TestClock
from torg.kit.testing.postgres import open_schema
from torg.kit.tests.messages import REGISTRY, WasPut
from torg.kit.values import utc_now

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def shelf(postgres_url: str) -> AsyncIterator[Store]:
    async with open_schema(postgres_url, "shelf") as database:
        await migrate(database, [KIT], TestClock())
        async with database.begin() as tx:
            await tx.execute('create table thing (id text collate "C" not null, name text not null, primary key (id)) partition by range (id)')
            await tx.execute("create table thing_rest partition of thing default")
            await tx.execute("create index thing_name on thing (name)")
        yield Store("shelf", database, PatientLog("shelf", database, REGISTRY), utc_now)


def base(shelf: Store) -> PostgresDatabase:
    assert isinstance(shelf.database, PostgresDatabase)
    return shelf.database


def id_of(moment: datetime, number: int = 0) -> str:
    """A UUIDv7 that was made then."""
    made = f"{int(moment.timestamp() * 1000):012x}"
    return f"{made[:8]}-{made[8:]}-7000-8000-{number:012d}"


async def put(shelf: Store, moment: datetime, number: int = 0) -> str:
    stream = id_of(moment, number)
    async with shelf.transaction() as tx:
        await tx.append(stream, [WasPut("s", number), WasPut("s", number)])
        await tx.execute("insert into thing (id, name) values (:id, :name)", id=stream, name=f"thing {number}")
    return stream


async def places(shelf: Store, table: str = "log") -> dict[str, int]:
    """Rows by the partition they lie in."""
    rows = await shelf.database.all(f"select tableoid::regclass::text as part, count(*) as rows from {table} group by 1")
    return {row["part"]: row["rows"] for row in rows}


async def plan(shelf: Store, statement: str, **parameters: object) -> str:
    async with shelf.database.begin() as tx:
        await tx.execute("set local enable_seqscan = off")
        found = await tx.all(f"explain (format json) {statement}", **parameters)
    return json.dumps(json.loads(found[0][0]))


def test_months_are_ranges_of_ids():
    for moment in (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, 23, 59, 59, 999000, tzinfo=UTC)):
        assert first_id(date(2026, 11, 1)) <= id_of(moment) < first_id(date(2026, 12, 1))
        assert month_of(id_of(moment)) == date(2026, 11, 1)
    assert id_of(datetime(2026, 10, 31, 23, 59, 59, 999000, tzinfo=UTC)) < first_id(date(2026, 11, 1))
    assert following(date(2026, 12, 1)) == date(2027, 1, 1)


async def test_this_month_and_the_next_three_are_there_once(shelf: Store):
    made = await keep_months(base(shelf), NOW)
    assert sorted(made) == sorted(f"{table}_{month}" for table in ("log", "thing") for month in ("2026_11", "2026_12", "2027_01", "2027_02"))
    assert await keep_months(base(shelf), NOW) == []
    assert await keep_months(base(shelf), datetime(2026, 12, 1, tzinfo=UTC)) == ["log_2027_03", "thing_2027_03"]


async def test_rows_lie_in_their_month_and_others_in_the_rest(shelf: Store):
    await keep_months(base(shelf), NOW)
    await put(shelf, NOW)
    await put(shelf, datetime(2027, 1, 5, tzinfo=UTC))
    async with shelf.transaction() as tx:
        await tx.append("wallet:anna", [WasPut("s", 1)])
    assert await places(shelf) == {"log_2026_11": 2, "log_2027_01": 2, "log_rest": 1}
    assert await places(shelf, "thing") == {"thing_2026_11": 1, "thing_2027_01": 1}
    assert len(await shelf.log.tail(0, 100)) == 5


async def test_looking_for_one_reads_its_month_alone(shelf: Store):
    await keep_months(base(shelf), NOW)
    stream = await put(shelf, NOW)
    found = await plan(shelf, "select * from log where stream = :stream and version > 0 order by version", stream=stream)
    assert "log_2026_11" in found and "log_2026_12" not in found and "log_rest" not in found
    found = await plan(shelf, "select * from thing where id = :id", id=stream)
    assert "thing_2026_11" in found and "thing_rest" not in found


async def test_a_reader_who_is_up_to_date_reads_indexes_alone(shelf: Store):
    await keep_months(base(shelf), NOW)
    await put(shelf, NOW)
    found = await plan(shelf, "select * from log where position > 0 order by position limit 10")
    assert "Merge Append" in found and "Seq Scan" not in found and '"Sort"' not in found


async def test_a_month_that_is_made_late_takes_what_the_rest_holds_of_it(shelf: Store):
    streams = [await put(shelf, moment, number) for number, moment in enumerate((NOW, datetime(2026, 6, 3, tzinfo=UTC), datetime(2026, 8, 9, tzinfo=UTC), NOW))]
    async with shelf.transaction() as tx:
        await tx.append("00000000-0000-7000-8000-000000000001", [WasPut("s", 1)])
    before = [row.message for row in await shelf.log.tail(0, 100)]
    made = await keep_months(base(shelf), NOW)
    assert {"log_2026_06", "log_2026_08", "log_2026_11", "thing_2026_06"} <= set(made) and "log_2026_07" not in made
    assert await places(shelf) == {"log_2026_06": 2, "log_2026_08": 2, "log_2026_11": 4, "log_rest": 1}
    assert [row.message for row in await shelf.log.tail(0, 100)] == before
    for stream in streams:
        await put_more(shelf, stream)
        assert [row.version for row in await shelf.log.stream(stream)] == [1, 2, 3]
    assert await keep_months(base(shelf), NOW) == []


async def put_more(shelf: Store, stream: str) -> None:
    async with shelf.transaction() as tx:
        await tx.append(stream, [WasPut("s", 9)], expected=2)


async def test_who_writes_into_the_rest_for_long_has_the_month_made_the_next_time(postgres_url: str, shelf: Store):
    stream = id_of(NOW, 7)
    held = await Held(shelf, lambda tx: tx.append(stream, [WasPut("s", 7)])).done()
    hasty = await connect(Address(f"{postgres_url}?lock_timeout=50", base(shelf).context))
    assert "log_2026_11" not in await keep_months(hasty, NOW)
    await hasty.close()
    await held.commit()
    assert "log_2026_11" in await keep_months(base(shelf), NOW)
    assert await places(shelf) == {"log_2026_11": 1}


async def test_a_month_goes_as_a_whole(shelf: Store):
    await keep_months(base(shelf), NOW)
    old, new = await put(shelf, NOW), await put(shelf, datetime(2026, 12, 24, tzinfo=UTC))
    assert sorted(await detach_month(base(shelf), date(2026, 11, 1))) == ["log_2026_11", "thing_2026_11"]
    assert [row.stream for row in await shelf.log.tail(0, 100)] == [new, new]
    assert await shelf.database.value("select count(*) from log_2026_11 where stream = :stream", stream=old) == 2
    assert await shelf.database.value("select count(*) from thing") == 1
    assert await keep_months(base(shelf), NOW) == [], "what was detached is not made again"
    assert await detach_month(base(shelf), date(2026, 11, 1)) == []
    await put(shelf, NOW, 5)
    assert (await places(shelf))["log_rest"] == 2
