"""What tests build on: a store on a throw-away file, calls that are answered from a table, a clock that is set by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from torg.kit.auditing import Invariant
from torg.kit.calls import LocalCalls
from torg.kit.log import Log
from torg.kit.messages import Envelope, Message, Registry
from torg.kit.sql.dialect import SQLITE
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.port import Database
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store, Transaction

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTLES = 3000  # looks, a hundredth of a second apart
_TABLES = {
    "sqlite": "select name from sqlite_master where type = 'table'",
    "postgresql": """select relname as name from pg_class
        where relnamespace = to_regnamespace(current_schema()) and relkind in ('r', 'p') and not relispartition""",
}


class TestClock:
    """Stands still until it is moved."""

    __test__ = False

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Moves on by timedelta's words: advance(minutes=5)."""
        self.now += timedelta(**by)


def test_ids(prefix: str = "") -> Callable[[], str]:  # noqa: PT028 no test, whatever its name
    """Numbers in the shape of UUIDs: 00000000-0000-7000-8000-000000000001 and so on."""
    count = 0

    def make() -> str:
        nonlocal count
        count += 1
        return f"{prefix or '00000000'}-0000-7000-8000-{count:012d}"

    return make


test_ids.__test__ = False  # type: ignore[attr-defined]


@asynccontextmanager
async def open_store(folder: Path, context: str, clock: Callable[[], datetime], registry: Registry, migrations: Path | None = None) -> AsyncIterator[Store]:
    """A context's store in a folder, migrated, without the wait for the disk; with TORG_TEST_DB, in a throw-away schema of that PostgreSQL."""
    url = os.environ.get("TORG_TEST_DB", "")
    async with _schema(url, context) if url else _file(folder, context) as database:
        await migrate(database, [KIT, migrations] if migrations else [KIT], clock)
        yield Store(context, database, PatientLog(context, database, registry), clock)


class PatientLog(Log):
    """Waits for what is committed and can't be read yet, because a transaction of somebody else on the same server is under way: tests look once."""

    async def tail(self, after: int, limit: int) -> Sequence[Envelope]:
        await self._settled()
        return await super().tail(after, limit)

    async def head(self) -> int:
        await self._settled()
        return await super().head()

    async def _settled(self) -> None:
        for _ in range(SETTLES if self.shared else 0):
            if (await self._database.value("select max(position) from log") or 0) <= await super().head():
                return
            await asyncio.sleep(0.01)


async def all_text(database: Database) -> dict[str, str]:
    """Everything that a context keeps, as text, by table."""
    named = await database.all(_TABLES[database.dialect.variant])
    return {row["name"]: str([[found[column] for column in found.keys()] for found in await database.all(f"select * from {row['name']}")]) for row in named}  # noqa: SIM118 a row iterates over its values


def tables_with(kept: Mapping[str, str], words: Iterable[str]) -> set[str]:
    """Those tables of `all_text` in which one of the words stands anywhere."""
    return {table for table, text in kept.items() if any(word in text for word in words)}


@asynccontextmanager
async def _file(folder: Path, context: str) -> AsyncIterator[Database]:
    database = SqliteDatabase(folder / f"{context}.db", sync="OFF")
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _schema(url: str, context: str) -> AsyncIterator[Database]:
    from torg.kit.testing.postgres import open_schema

    async with open_schema(url, context) as database:
        yield database


_CHECKS = """select conrelid::regclass as at, conname as name from pg_constraint
    where contype = 'c' and connamespace = to_regnamespace(current_schema())"""


async def drop_checks(tx: Transaction, database: Database) -> None:
    """What breaks tables on purpose may leave them as no check lets them be."""
    if database.dialect is SQLITE:
        await tx.execute("pragma ignore_check_constraints = on")
    else:
        for row in await tx.all(_CHECKS):
            await tx.execute(f"alter table {row['at']} drop constraint {row['name']}")


class Held:
    """A transaction of somebody else that has done its work and is not committed before `commit`. Where one at a time writes there is none: the test is
    skipped."""

    def __init__(self, store: Store, work: Callable[[Transaction], Awaitable[Any]]) -> None:
        if not store.database.shared:
            pytest.skip("here one transaction at a time writes")
        self._done, self._release = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(store, work), context=Context())

    async def _run(self, store: Store, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        async with store.transaction() as tx:
            await work(tx)
            self._done.set()
            await self._release.wait()

    async def done(self) -> Held:
        """Once its work is."""
        await asyncio.wait({self._task, asyncio.ensure_future(self._done.wait())}, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        assert self._done.is_set(), "what was to be held did not come to its end"
        return self

    async def commit(self) -> None:
        self._release.set()
        await self._task


def answering(answers: Mapping[type[Message], Callable[[Any], Any]]) -> LocalCalls:
    """Calls that other contexts answer from a table of functions."""
    return LocalCalls({kind: _answer(answer) for kind, answer in answers.items()})


def _answer(answer: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    async def handle(message: Any) -> Any:
        return answer(message)

    return handle


async def faults_of(invariants: Iterable[Invariant]) -> list[str]:
    """What a look at each finds, as sentences."""
    return [fault.sentence for invariant in invariants for fault in await invariant.check()]
