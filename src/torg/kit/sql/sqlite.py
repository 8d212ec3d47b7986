"""SQLite adapter. Statements run on the event loop (they take microseconds); only the commit's sync to disk leaves it, and
transactions that finish while one is under way share the next (group commit)."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from torg.kit.errors import Occupied, Unavailable
from torg.kit.failpoints import reached
from torg.kit.sql.committer import Committer
from torg.kit.sql.dialect import SQLITE
from torg.kit.sql.port import Row, open_here, refuse_bypass
from torg.kit.telemetry import COMMITS, COMMITTED, WAITING, log


class SqliteReads:
    """Statements on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        return self.connection.execute(statement, parameters).fetchall()

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        row: Row | None = self.connection.execute(statement, parameters).fetchone()
        return row

    async def value(self, statement: str, **parameters: Any) -> Any:
        row = self.connection.execute(statement, parameters).fetchone()
        return row[0] if row else None


class SqliteTransaction(SqliteReads):
    """The one transaction that has its turn on the writing connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self.then: list[Callable[[], None]] = []
        self.logged = 0

    def after_commit(self, call: Callable[[], None]) -> None:
        self.then.append(call)

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        try:
            return await super().one(statement, **parameters)
        except sqlite3.IntegrityError as error:
            raise _said(error) from error

    async def execute(self, statement: str, **parameters: Any) -> int:
        try:
            return self.connection.execute(statement, parameters).rowcount
        except sqlite3.IntegrityError as error:
            raise _said(error) from error

    async def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> int:
        try:
            return self.connection.executemany(statement, rows).rowcount
        except sqlite3.IntegrityError as error:
            raise _said(error) from error

    async def claim(self, name: str) -> None: ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        return _Savepoint(self)


class _Savepoint:
    __slots__ = ("_mark", "_transaction")

    def __init__(self, transaction: SqliteTransaction) -> None:
        self._transaction, self._mark = transaction, len(transaction.then)

    async def __aenter__(self) -> None:
        self._transaction.connection.execute("savepoint row")

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        connection = self._transaction.connection
        if _of_the_engine(error) or not connection.in_transaction:  # nothing is left to go on with, and nobody in here is to blame
            raise Unavailable(f"the database could not go on: {error}") from error
        if kind is not None:
            connection.execute("rollback to row")
            del self._transaction.then[self._mark :]
        connection.execute("release row")


class SqliteDatabase(SqliteReads):
    """One file in WAL mode: a connection that writes, in turns, and one that reads what is committed. While nothing is being written both see the same, and
    the first is read by: its pages are still in memory, where each commit makes the other forget its own.

    `sync` is SQLite's `synchronous`: FULL survives loss of power, NORMAL and OFF are for tests and throw-away data. `committer` is the process's
    own, where several files share it."""

    dialect = SQLITE
    shared = False

    def __init__(self, path: Path, sync: str = "FULL", committer: Committer | None = None) -> None:
        self.path, self.context = path, path.stem
        self._writer = _open(path, sync)
        super().__init__(_open(path, sync))
        self._turn, self.lane = asyncio.Lock(), asyncio.Lock()
        self._group: _Group | None = None
        self._committing: asyncio.Task[None] | None = None
        self._at_disk = False
        self._committer, self._shared = committer or Committer(), committer is not None
        self._seconds, self._count, self._waiting = COMMITS.labels(self.context), COMMITTED.labels(self.context), WAITING.labels(self.context)

    def begin(self) -> _Member:
        return _Member(self)

    def _reader(self) -> sqlite3.Connection:
        return self._writer if self._group is None and not self._at_disk else self.connection

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        refuse_bypass(self)
        try:
            return self._reader().execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise self._unread(error) from error

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        refuse_bypass(self)
        try:
            row: Row | None = self._reader().execute(statement, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._unread(error) from error
        return row

    async def value(self, statement: str, **parameters: Any) -> Any:
        row = await self.one(statement, **parameters)
        return row[0] if row else None

    def _unread(self, error: sqlite3.Error) -> Exception:
        """Unavailable where the disk is to blame; any other error is a defect."""
        return Unavailable(f"the database {self.path.name} could not be read: {error}") if _of_the_engine(error) else error

    def relaxed(self, behind: float) -> SqliteReads:
        return self

    async def lease(self, name: str, seconds: float) -> bool:
        return True  # one process at a time has the folder

    async def tend(self, now: datetime) -> None: ...

    def tell(self, position: int) -> None: ...

    def watch(self, heard: Callable[[int], None]) -> None: ...

    async def close(self) -> None:
        async with self._turn:
            if self._group:
                await self._commit_group()
            await self._committer.run(self._writer.close)
        self.connection.close()
        if not self._shared:
            self._committer.close()

    async def _commit_in_turn(self) -> None:
        while True:  # the group stays open while the disk is busy, and for those who wait for their turn already
            await self._committer.rest()
            if self._turn.locked():  # other files need not wait for that as well
                self._committer.next()
            async with self._turn:
                if self._committer.idle:
                    self._committing = None
                    await self._commit_group()
                    return

    async def _commit_group(self) -> None:
        group, self._group = self._group, None
        if group is None:
            self._committer.next()
            return
        began = time.perf_counter()
        reached("before commit")
        self._at_disk = True
        try:
            await self._committer.run(self._writer.commit)
        except sqlite3.Error as error:
            self._writer.rollback()
            group.fail(_unavailable(self.path, error))
            return
        finally:
            self._at_disk = False
        reached("after commit")
        self._seconds.observe(time.perf_counter() - began)
        self._count.inc(len(group.members))
        for call in group.then:
            try:
                call()
            except Exception as error:  # noqa: BLE001 what is durable stays so: a defect in what follows is told, and keeps nobody else from hearing of it
                log.error("what was to follow a commit failed", context=self.context, exc_info=error)
        group.succeed()

    def _abandon_group(self, error: BaseException | str) -> None:
        group, self._group = self._group, None
        if self._writer.in_transaction:
            self._writer.rollback()
        if group is not None:
            group.fail(_unavailable(self.path, error))


class _Group:
    """Transactions that share a commit. Each of its `members` waits for a future of its own: one that is cancelled does not take the others with it."""

    __slots__ = ("_lost", "members", "then")

    def __init__(self) -> None:
        self.members: list[asyncio.Future[None]] = []
        self.then: list[Callable[[], None]] = []
        self._lost: Unavailable | None = None

    async def join(self, then: Iterable[Callable[[], None]]) -> None:
        """Waits for the commit, which `then` follows. Raises Unavailable where there was none."""
        if self._lost:
            raise self._lost
        member: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.members.append(member)
        self.then += then
        await member

    def succeed(self) -> None:
        for member in self.members:
            if not member.done():
                member.set_result(None)

    def fail(self, error: Unavailable) -> None:
        self._lost = error
        for member in self.members:
            if not member.done():
                member.set_exception(error)


class _Member:
    """A transaction as a context manager: a lean class, since `@asynccontextmanager` alone costs a third of the throughput. The first of a group needs no
    savepoint: what it leaves undone is all that there is."""

    __slots__ = ("_database", "_first", "_token", "_transaction")

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def __aenter__(self) -> SqliteTransaction:
        database = self._database
        await database._turn.acquire()
        self._first = database._group is None
        try:
            database._writer.execute("begin immediate" if self._first else "savepoint member")
        except sqlite3.Error as error:
            database._turn.release()
            raise _unavailable(database.path, error) from error
        database._group = database._group or _Group()
        self._transaction = SqliteTransaction(database._writer)
        self._token = open_here.set(database)
        return self._transaction

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        open_here.reset(self._token)
        database = self._database
        group = database._group
        assert group is not None, "a transaction ended outside its group"
        try:
            if not self._first:
                if kind is not None:
                    database._writer.execute("rollback to member")
                database._writer.execute("release member")
            elif kind is not None or not database._writer.in_transaction:
                database._abandon_group(error or "what it had written is lost")
        except sqlite3.Error as lost:  # SQLite gave up the whole transaction (disk full, I/O error): so do all that share it
            database._abandon_group(error if isinstance(error, sqlite3.Error) else lost)
        finally:
            if database._group is not None and database._committing is None:
                database._committing = asyncio.get_running_loop().create_task(database._commit_in_turn())
            database._turn.release()
        if kind is None:
            await group.join(self._transaction.then)
        elif isinstance(error, sqlite3.Error) and _of_the_engine(error):
            raise _unavailable(database.path, error) from error


_TAKEN = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)


def _said(error: sqlite3.IntegrityError) -> Exception:
    """Occupied where a row with the same key was there first; any other rule that a statement breaks is a defect."""
    return Occupied(str(error)) if error.sqlite_errorcode in _TAKEN else error


_ENGINE_FAULTS = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)  # fmt: skip


def _of_the_engine(error: BaseException | None) -> bool:
    """Whether SQLite itself could not go on, rather than not wanting what it was asked for."""
    return isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _ENGINE_FAULTS


def _open(path: Path, sync: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=10)
    connection.row_factory = sqlite3.Row
    _write_ahead(connection)
    # temp_store: savepoints keep the pages they may have to put back in memory, instead of in hundreds of writes to a temporary file for each order
    for pragma in (f"synchronous={sync}", "foreign_keys=on", "cache_size=-8000", "wal_autocheckpoint=4000", "temp_store=memory"):
        connection.execute(f"pragma {pragma}")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """The one change that SQLite does not wait for by itself while another process opens the same new file."""
    for pause in (0.01, 0.05, 0.2, 1, 2, None):
        try:
            connection.execute("pragma journal_mode=wal")
            return
        except sqlite3.OperationalError as error:
            if pause is None or error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(pause)


def _unavailable(path: Path, error: BaseException | str) -> Unavailable:
    return Unavailable(f"the database {path.name} could not write: {error}")
