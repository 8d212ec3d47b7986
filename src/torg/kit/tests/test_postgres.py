"""Transactions on a PostgreSQL server: what crosses is done anew, what takes too long is Unavailable, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from contextvars import Context
from pathlib import Path

import asyncpg
import pytest

from torg.kit.calls import undisturbed
from torg.kit.errors import Interleaved, Occupied, Unavailable
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.port import SqlTransaction
from torg.kit.sql.postgres import Address, PostgresDatabase, connect, prepare
from torg.kit.testing import TestClock
from torg.kit.testing.postgres import open_schema


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[PostgresDatabase]:
    async with open_schema(postgres_url, "clinic") as opened:
        await migrate(opened, [KIT], TestClock())
        async with opened.begin() as tx:
            await tx.execute("create table doctor (name text primary key, on_call integer not null)")
            await tx.execute("insert into doctor values ('anna', 1), ('boris', 1)")
        yield opened


class Rendezvous:
    """Has two transactions both read before either writes."""

    def __init__(self) -> None:
        self._barrier, self._met = asyncio.Barrier(2), False

    async def meet(self) -> None:
        if not self._met:  # who does it anew finds the other gone
            await self._barrier.wait()
            self._met = True


async def on_call(database: PostgresDatabase) -> int:
    count: int = await database.value("select sum(on_call) from doctor")
    return count


def leaving(database: PostgresDatabase, together: Rendezvous, claims: bool) -> Callable[[str], Awaitable[bool]]:
    """A handler with a rule over two rows: a doctor may go while another stays. Whether they went."""

    async def leave(name: str) -> bool:
        async with database.begin() as tx:
            if claims:
                await tx.claim("doctors")
            others = await tx.value("select count(*) from doctor where on_call = 1 and name <> :name", name=name)
            if not claims:
                await together.meet()
            if others:
                await tx.execute("update doctor set on_call = 0 where name = :name", name=name)
            return bool(others)

    return leave


async def test_of_two_that_write_the_same_row_the_second_is_done_anew(database: PostgresDatabase):
    together = Rendezvous()
    tries: list[str] = []

    async def add(name: str) -> None:
        async with database.begin() as tx:
            tries.append(name)
            before = await tx.value("select on_call from doctor where name = 'anna'")
            await together.meet()
            await tx.execute("update doctor set on_call = :now where name = 'anna'", now=before + 1)

    await asyncio.gather(*(undisturbed(lambda name=name: add(name), "add", database.lane) for name in "xy"))  # type: ignore[misc]
    assert await database.value("select on_call from doctor where name = 'anna'") == 3
    assert len(tries) == 3


async def test_a_snapshot_lets_a_rule_over_two_rows_be_broken(database: PostgresDatabase):
    """Why a rule over several rows needs an anchor (decision 16)."""
    leave = leaving(database, Rendezvous(), claims=False)
    assert all(await asyncio.gather(leave("anna"), leave("boris")))
    assert await on_call(database) == 0


async def test_a_claim_holds_a_rule_over_two_rows(database: PostgresDatabase):
    leave = leaving(database, Rendezvous(), claims=True)
    went = await asyncio.gather(*(undisturbed(lambda name=name: leave(name), "leave", database.lane) for name in ("anna", "boris")))  # type: ignore[misc]
    assert sorted(went) == [False, True]
    assert await on_call(database) == 1


async def test_who_claims_beside_another_is_interleaved(database: PostgresDatabase):
    async def claim(name: str, held: asyncio.Event, release: asyncio.Event) -> None:
        async with database.begin() as tx:
            await tx.value("select 1")
            held.set()
            await release.wait()
            await tx.claim(name)

    events = [asyncio.Event() for _ in range(4)]
    first, second = asyncio.create_task(claim("a", events[0], events[1])), asyncio.create_task(claim("a", events[2], events[3]))
    await asyncio.gather(events[0].wait(), events[2].wait())
    events[1].set()
    await first
    events[3].set()
    with pytest.raises(Interleaved):
        await second


async def test_two_that_lock_crosswise_are_told_apart(database: PostgresDatabase):
    together = Rendezvous()

    async def swap(first: str, second: str) -> None:
        async with database.begin() as tx:
            await tx.execute("update doctor set on_call = on_call + 1 where name = :name", name=first)
            await together.meet()
            await tx.execute("update doctor set on_call = on_call + 1 where name = :name", name=second)

    work = (("anna", "boris"), ("boris", "anna"))
    await asyncio.gather(*(undisturbed(lambda pair=pair: swap(*pair), "swap", database.lane) for pair in work))  # type: ignore[misc]
    assert await on_call(database) == 6


async def test_a_hundred_that_want_one_row_all_get_it(database: PostgresDatabase):
    async def add() -> None:
        async with database.begin() as tx:
            before = await tx.value("select on_call from doctor where name = 'anna'")
            await tx.execute("update doctor set on_call = :now where name = 'anna'", now=before + 1)

    await asyncio.gather(*(undisturbed(add, "add", database.lane) for _ in range(100)))
    assert await database.value("select on_call from doctor where name = 'anna'") == 101


async def test_two_that_claim_one_key_are_told_so(database: PostgresDatabase):
    async def put(tx: SqlTransaction) -> None:
        await tx.execute("insert into doctor values ('vera', 1)")

    async def other() -> None:
        async with database.begin() as tx:
            await put(tx)

    with pytest.raises(Occupied):
        async with database.begin() as tx:
            await tx.value("select 1")
            await asyncio.create_task(other(), context=_empty())
            await put(tx)


def _empty() -> Context:
    """In which no transaction is open."""
    return Context()


async def test_a_read_beside_the_open_transaction_is_refused(database: PostgresDatabase):
    async with database.begin() as tx:
        with pytest.raises(RuntimeError, match="ask the transaction"):
            await database.value("select 1")
        assert await tx.value("select 1") == 1
    assert await database.value("select 1") == 1


# ---------------------------------------------------------------- time-outs


async def test_a_statement_that_takes_too_long_is_unavailable(postgres_url: str, database: PostgresDatabase):
    hasty = await connect(Address(f"{postgres_url}?statement_timeout=500", database.context))
    async with asyncio.timeout(60):
        with pytest.raises(Unavailable, match="statement timeout"):
            await hasty.value("select pg_sleep(600)")
        with pytest.raises(Unavailable, match="statement timeout"):
            async with hasty.begin() as tx:
                await tx.execute("select pg_sleep(600)")
    assert await hasty.value("select 1") == 1
    await hasty.close()


async def test_a_lock_that_is_held_too_long_is_unavailable(postgres_url: str, database: PostgresDatabase):
    hasty = await connect(Address(f"{postgres_url}?lock_timeout=50", database.context))
    async with database.begin() as tx:
        await tx.execute("update doctor set on_call = 5 where name = 'anna'")
        with pytest.raises(Unavailable, match="lock timeout"):
            async with hasty.begin() as waiting:
                await waiting.execute("update doctor set on_call = 6 where name = 'anna'")
    assert await database.value("select on_call from doctor where name = 'anna'") == 5
    await hasty.close()


async def test_a_transaction_that_nobody_goes_on_with_loses_its_locks(postgres_url: str, database: PostgresDatabase):
    """As of a process that was stopped."""
    sleepy = await connect(Address(f"{postgres_url}?idle_in_transaction_session_timeout=1000", database.context))
    patient = await connect(Address(f"{postgres_url}?lock_timeout=9000", database.context))
    with pytest.raises(Unavailable):
        async with sleepy.begin() as tx:
            await tx.execute("update doctor set on_call = 5 where name = 'anna'")
            async with patient.begin() as other:
                await other.execute("update doctor set on_call = 7 where name = 'anna'")
            await tx.execute("update doctor set on_call = 6 where name = 'boris'")
    assert [row["on_call"] for row in await database.all("select on_call from doctor order by name")] == [7, 1]
    assert await sleepy.value("select 1") == 1
    await sleepy.close()
    await patient.close()


async def test_who_finds_all_connections_busy_waits_so_long_at_most(postgres_url: str, database: PostgresDatabase):
    narrow = await connect(Address(f"{postgres_url}?connections=2&wait=1", database.context))
    async with AsyncExitStack() as busy:
        for _ in range(2):
            await busy.enter_async_context(narrow.begin())

        async def read() -> None:
            await narrow.value("select 1")

        async def write() -> None:
            async with narrow.begin():
                pass

        began = time.perf_counter()
        async with asyncio.timeout(60):
            for work in (read, write):
                with pytest.raises(Unavailable, match="have been busy for"):
                    await asyncio.create_task(work(), context=_empty())
        assert time.perf_counter() - began > 1.5
    assert await narrow.value("select 1") == 1
    await narrow.close()


async def test_nobody_there_is_unavailable(postgres_url: str):
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/x cannot be reached"):
        await prepare("postgresql://torg:secret@127.0.0.1:1/x", "shelf")
    with pytest.raises(Unavailable, match="does not let shelf in"):
        await connect(Address("postgresql://torg:secret@127.0.0.1:1/x", "shelf"))


# ---------------------------------------------------------------- schemas and roles


async def test_a_contexts_role_cannot_look_into_anothers_schema(postgres_url: str, database: PostgresDatabase):
    names = [f"{database.context}_{part}" for part in ("a", "b")]
    for name in names:
        await asyncio.gather(*(prepare(postgres_url, name, f"torg_{name}") for _ in range(3)))
    first, second = [await connect(Address(postgres_url, name, f"torg_{name}")) for name in names]
    async with first.begin() as tx:
        await tx.execute("create table mine (x integer)")
        assert await tx.value("select current_user") == f"torg_{names[0]}"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await second.value(f"select count(*) from {names[0]}.mine")
    for opened, name in zip((first, second), names, strict=True):
        await opened.close()
        await database.execute_alone(f"drop schema {name} cascade; drop role torg_{name}")


async def test_processes_that_start_at_once_migrate_once(postgres_url: str, database: PostgresDatabase, tmp_path: Path):
    folder = tmp_path / "shelf" / "migrations"
    folder.mkdir(parents=True)
    (folder / "0001_things.sql").write_text("create table thing (id $identity primary key, name text not null);\n")
    schema, done = f"{database.context}_new", list[list[str]]()

    async def start() -> list[str]:
        await prepare(postgres_url, schema)
        opened = await connect(Address(postgres_url, schema))
        try:
            return await migrate(opened, [KIT, folder], TestClock())
        finally:
            await opened.close()

    threads = [threading.Thread(target=lambda: done.append(asyncio.run(start()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert [names for names in done if not names] == [[], [], []]
    assert {"sql/0001_kit.sql", "shelf/0001_things.sql"} <= set(next(filter(None, done)))
    await database.execute_alone(f"drop schema {schema} cascade")
