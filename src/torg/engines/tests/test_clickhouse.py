from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.testing.engines import served

pytestmark = pytest.mark.slow
Served = tuple[Place, Mapping[str, str]]


@pytest.fixture(scope="module")
def clickhouse() -> Iterator[Served]:
    with served("clickhouse") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to kill")
        yield place, settings


def client(settings: Mapping[str, str], **options: Any) -> Any:
    """ClickHouse's own client for Python, so that it is their word that this is their interface."""
    at = urlsplit(settings["TORG_FACTS"])
    named_ = {"username": at.username, "password": at.password, "database": at.path[1:], **options}
    return clickhouse_connect.get_client(host=at.hostname, port=at.port, **named_)


def test_official_client_gets_back_what_it_inserts(clickhouse: Served) -> None:
    with client(clickhouse[1]) as asked:
        asked.command("create table seen (id UInt64, name String, day Date, tags Array(String)) engine = MergeTree order by id")
        rows = [[1, "ёлка", date(2026, 1, 1), ["a", "b"]], [2, "it's\\n", date(2026, 1, 2), []]]
        assert asked.insert("seen", rows, column_names=["id", "name", "day", "tags"]).written_rows == 2
        assert asked.query("select * from seen order by id").result_rows == [tuple(row) for row in rows]
        found = asked.query("select id from seen where name = {name:String} and day = {day:Date}", parameters={"name": "it's\\n", "day": date(2026, 1, 2)})
        assert found.result_rows == [(2,)]
        asked.raw_insert("seen", ["id", "name"], b'[3,"z"]\n', fmt="JSONCompactEachRow")
        assert asked.raw_query("select count() as n from seen format JSONEachRow") == b'{"n":3}\n'
        with asked.query_row_block_stream("select number from numbers(200000)") as blocks:
            assert sum(len(block) for block in blocks) == 200_000


def test_native_async_client_works_as_well(clickhouse: Served) -> None:
    at = urlsplit(clickhouse[1]["TORG_FACTS"])

    async def ask() -> Any:
        asked = await clickhouse_connect.get_async_client(host=at.hostname, port=at.port or 0, username=at.username, password=at.password or "")
        try:
            return (await asked.query("select 6 * 7")).result_rows
        finally:
            await asked.close()

    assert asyncio.run(ask()) == [(42,)]


@pytest.mark.parametrize(
    ("statement", "code"), [("select bogus", 47), ("selec 1", 62), ("select * from nowhere", 60), ("insert into nowhere values (1)", 60), ("select 1/'a'", 43)]
)
def test_errors_carry_clickhouses_codes(clickhouse: Served, statement: str, code: int) -> None:
    with client(clickhouse[1]) as asked, pytest.raises(DatabaseError, match=f"code: {code}"):
        asked.command(statement)


def test_statement_ends_at_its_time_limit(clickhouse: Served) -> None:
    with client(clickhouse[1]) as asked, pytest.raises(DatabaseError, match="code: 159"):
        asked.query("select sleepEachRow(1) from numbers(3) settings max_block_size = 1", settings={"max_execution_time": 1})


def test_wrong_password_and_unknown_user_are_refused(clickhouse: Served) -> None:
    for wrong in ({"password": "no"}, {"username": "default", "password": ""}):
        with pytest.raises(DatabaseError, match="516"):
            client(clickhouse[1], **wrong)


def test_settings_of_one_request_are_not_those_of_the_next(clickhouse: Served) -> None:
    with client(clickhouse[1], autogenerate_session_id=False) as asked:
        assert asked.command("select getSetting('max_threads')", settings={"max_threads": 7}) == 7
        assert asked.command("select getSetting('max_threads')") != 7


def test_temporary_tables_live_in_their_session(clickhouse: Served) -> None:
    with client(clickhouse[1], session_id="one") as one, client(clickhouse[1], session_id="two") as two:
        one.command("create temporary table mine (n Int8)")
        one.command("insert into mine values (1)")
        assert one.command("select n from mine") == 1
        with pytest.raises(DatabaseError, match="code: 60"):
            two.command("select n from mine")


def test_statements_run_side_by_side(clickhouse: Served) -> None:
    def slow() -> None:
        with client(clickhouse[1]) as asked:
            asked.command("select sleep(3)")

    threads = [threading.Thread(target=slow) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 9  # one after the other they would take twelve


def test_what_was_inserted_is_there_after_an_end_in_order_and_after_a_kill(clickhouse: Served) -> None:
    place, settings = clickhouse
    engine = named("clickhouse")
    with client(settings) as asked:
        asked.command("create table kept (n UInt32) engine = MergeTree order by n")
        asked.command("insert into kept select number from numbers(1000)")
    assert run.stop(engine, place, print)
    run.start(engine, place, print)
    with client(settings) as asked:
        assert asked.command("select sum(n) from kept") == 499_500
        asked.command("insert into kept values (500)")
    started = run.running(place)
    assert started
    os.kill(started.pid, signal.SIGKILL)
    assert processes.gone(started.pid, started.mark, 60)
    run.start(engine, place, print)
    with client(settings) as asked:
        assert asked.command("select sum(n) from kept") == 500_000


def test_second_server_on_the_same_folder_is_refused(clickhouse: Served) -> None:
    place, _ = clickhouse
    ended = processes.Detached(
        [word if word != str(place.port) else str(place.port + 1) for word in named("clickhouse").command(place)],
        run.log_of(place), place.data, {**os.environ, **named("clickhouse").environment(place)}, "",
    ).wait(120)  # fmt: skip
    assert ended
    assert "Another server instance in same directory is already running" in run.log_of(place).read_text()
