"""Statements, and transactions of them, on connections of a pool."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import Token
from types import TracebackType
from typing import Any, Final, Protocol

import asyncpg
from prometheus_client import Counter, Gauge, Histogram

from torg.kit import telemetry
from torg.kit.errors import Interleaved, Occupied, Unavailable
from torg.kit.failpoints import reached
from torg.kit.sql.port import Row, open_here
from torg.kit.sql.postgres.faults import said
from torg.kit.sql.postgres.pool import Pool
from torg.kit.sql.statements import numbered, values

BEGIN: Final = "begin isolation level repeatable read"
# A lock would not do: who waited for it still sees what was there before. A row that both write is refused to the second.
_CLAIM: Final = "insert into claim (name, times) values (:name, 1) on conflict (name) do update set times = claim.times + 1"

"""The database whose transaction is open around the running code."""


class Source(Protocol):
    """A connection, or a pool that lends one for each question."""

    async def fetch(self, statement: str, *parameters: Any) -> Any: ...
    async def fetchrow(self, statement: str, *parameters: Any) -> Any: ...


class PostgresReads:
    """Questions, in the kit's words."""

    def __init__(self, source: Source, asked: Counter) -> None:
        self._source, self._asked = source, asked

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            rows: Sequence[Row] = await self._source.fetch(text, *values(names, parameters))
        except Exception as error:
            raise said(error) from error
        return rows

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            row: Row | None = await self._source.fetchrow(text, *values(names, parameters))
        except Exception as error:
            raise said(error) from error
        return row

    async def value(self, statement: str, **parameters: Any) -> Any:
        row = await self.one(statement, **parameters)
        return row[0] if row else None


class PostgresTransaction(PostgresReads):
    """One transaction on a connection of its own."""

    def __init__(self, connection: Any, asked: Counter) -> None:
        super().__init__(connection, asked)
        self._connection = connection
        self.then: list[Callable[[], None]] = []
        self.logged = 0

    def after_commit(self, call: Callable[[], None]) -> None:
        self.then.append(call)

    async def execute(self, statement: str, **parameters: Any) -> int:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            return _touched(await self._connection.execute(text, *values(names, parameters)))
        except Exception as error:
            raise said(error) from error

    async def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> int:
        text, names = numbered(f"{statement} returning 1")  # sent all at once; what comes back tells which took effect
        self._asked.inc()
        try:
            return len(await self._connection.fetchmany(text, [values(names, row) for row in rows]))
        except Exception as error:
            raise said(error) from error

    async def claim(self, name: str) -> None:
        await self.execute(_CLAIM, name=name)

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        return _Savepoint(self)


class _Savepoint:
    __slots__ = ("_mark", "_transaction")

    def __init__(self, transaction: PostgresTransaction) -> None:
        self._transaction, self._mark = transaction, len(transaction.then)

    async def __aenter__(self) -> None:
        await self._transaction.execute("savepoint row")

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, (Interleaved, Unavailable)) and not isinstance(error, Occupied):
            return  # the whole transaction is lost with it
        if kind is not None:
            del self._transaction.then[self._mark :]
            await self._transaction.execute("rollback to savepoint row")
        await self._transaction.execute("release savepoint row")


class Counts:
    """What a context's transactions are counted by."""

    def __init__(self, context: str) -> None:
        self.asked: Counter = telemetry.STATEMENTS.labels(context)
        self.committed: Counter = telemetry.COMMITTED.labels(context)
        self.waiting: Gauge = telemetry.WAITING.labels(context)
        self.seconds: Histogram = telemetry.COMMITS.labels(context)


class Begun:
    """A transaction as a context manager; what follows the commit runs even if whoever waits for it has gone away."""

    __slots__ = ("_connection", "_counts", "_database", "_pool", "_token", "_transaction")

    def __init__(self, database: object, pool: Pool, counts: Counts) -> None:
        self._database, self._pool, self._counts = database, pool, counts

    async def __aenter__(self) -> PostgresTransaction:
        self._counts.waiting.inc()
        try:
            self._connection = await self._pool.lend()
        finally:
            self._counts.waiting.dec()
        try:
            await self._connection.execute(BEGIN)
        except BaseException as error:
            await asyncio.shield(self._pool.take_back(self._connection))
            raise said(error) from error
        self._transaction = PostgresTransaction(self._connection, self._counts.asked)
        self._token: Token[object] = open_here.set(self._database)
        return self._transaction

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        open_here.reset(self._token)
        await asyncio.shield(asyncio.ensure_future(self._undo() if kind is not None else self._commit()))

    async def _undo(self) -> None:
        try:
            await self._connection.execute("rollback")
        except Exception as error:  # noqa: BLE001 what is undone by the loss of its connection is undone as well; the caller has the first error to raise
            telemetry.log.debug("a rollback was not heard", reason=repr(error))
            with suppress(asyncpg.InterfaceError):  # the pool has noticed before
                self._connection.terminate()
        finally:
            await self._pool.take_back(self._connection)

    async def _commit(self) -> None:
        began = time.perf_counter()
        reached("before commit")
        try:
            status = await self._connection.execute("commit")
        except Exception as error:
            raise said(error) from error
        finally:
            await self._pool.take_back(self._connection)
        if status != "COMMIT":
            raise Interleaved("a statement of this transaction had failed, so that PostgreSQL undid all of it")
        reached("after commit")
        self._counts.seconds.observe(time.perf_counter() - began)
        self._counts.committed.inc()
        for call in self._transaction.then:
            try:
                call()
            except Exception as error:  # noqa: BLE001 what is durable stays so: a defect in what follows is told, and keeps nobody else from hearing of it
                telemetry.log.error("what was to follow a commit failed", exc_info=error)


def _touched(status: str) -> int:
    """The last word of a command's tag: INSERT 0 1, UPDATE 3."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
