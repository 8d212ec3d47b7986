"""PostgreSQL adapter: one schema and role per context, a bounded pool, snapshot isolation.

SQLite lets one transaction write at a time. Here they run beside one another, each on a snapshot (REPEATABLE READ): of two that write the same row or
key the second is refused (`Interleaved`) and done anew by whoever dispatched its message. What a snapshot does not see is a rule that spans rows which
two transactions read and neither writes: every such rule of the shop is anchored in a row or a constraint that both must touch (decision 16)."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from prometheus_client import Counter

from torg.kit import telemetry
from torg.kit.errors import Interleaved, Occupied, Unavailable
from torg.kit.sql.dialect import POSTGRES
from torg.kit.sql.port import Row
from torg.kit.sql.statements import numbered, values

CONNECTIONS: Final = 8  # of one context in one process
STATEMENT_SECONDS: Final = 10
LOCK_SECONDS: Final = 3
IDLE_SECONDS: Final = 15  # that a transaction may keep its locks without asking anything: a process that was stopped loses them
WAIT_SECONDS: Final = 5.0  # for a free connection
CLOSE_SECONDS: Final = 5.0
TELL_SECONDS: Final = 0.001  # that notifications wait for one another
BEGIN: Final = "begin isolation level repeatable read"

# A lock would not do: who waited for it still sees what was there before. A row that both write is refused to the second.
_CLAIM: Final = "insert into claim (name, times) values (:name, 1) on conflict (name) do update set times = claim.times + 1"
_open_here: ContextVar[PostgresDatabase | None] = ContextVar("open_here", default=None)
_INTERLEAVED = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_AWAY = (
    OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError, asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.ReadOnlySQLTransactionError,
)  # fmt: skip


class _Connection(asyncpg.Connection):
    """Nothing here changes a session, so nothing need be put back when it returns to the pool: one round trip less each time."""

    def get_reset_query(self) -> str:
        return ""


@dataclass(frozen=True)
class Address:
    """Where a context's schema is. `url` as PostgreSQL's libpq takes it."""

    url: str
    schema: str
    role: str = ""
    connections: int = CONNECTIONS

    def settings(self) -> dict[str, str]:
        """What each session of it is set to."""
        return {
            "search_path": self.schema,
            "application_name": f"torg {self.schema}",
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{LOCK_SECONDS}s",
            "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
            **({"role": self.role} if self.role else {}),
        }


async def prepare(url: str, schema: str, role: str = "") -> None:
    """Makes the schema, and the role that owns it, where they are missing: nobody else's role may look into it. Safe when several start at once."""
    plain, _ = _bounded(Address(url, schema))
    try:
        connection = await asyncpg.connect(plain, timeout=WAIT_SECONDS)
    except (*_AWAY, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {_shown(plain)} cannot be reached: {error or type(error).__name__}") from error
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock(hashtextextended('torg schemas', 0))")
            if role and not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
                await connection.execute(f'create role "{role}" nologin')
                await connection.execute(f'grant "{role}" to current_user')
            owner = f' authorization "{role}"' if role else ""
            await connection.execute(f'create schema if not exists "{schema}"{owner}')
    finally:
        await connection.close()


async def connect(address: Address) -> PostgresDatabase:
    """Opens the pool. Raises Unavailable when nothing answers there."""
    url, connections = _bounded(address)
    try:
        pool = await asyncpg.create_pool(
            url, min_size=1, max_size=connections, connection_class=_Connection, command_timeout=STATEMENT_SECONDS + 2, statement_cache_size=512,
            max_cached_statement_lifetime=0, server_settings=address.settings(), init=_plain_numbers,
        )  # fmt: skip
    except (*_AWAY, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {_shown(url)} does not let {address.schema} in: {error}") from error
    return PostgresDatabase(pool, address, url)


async def _plain_numbers(connection: Any) -> None:
    """Sums of bigint come as numeric: here they are what they are on SQLite."""
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _bounded(address: Address) -> tuple[str, int]:
    """The URL without our own `?connections=`, and what that says."""
    parts = urlsplit(address.url)
    options = dict(parse_qsl(parts.query))
    connections = int(options.pop("connections", address.connections))
    return urlunsplit(parts._replace(query=urlencode(options))), connections


def _shown(url: str) -> str:
    """Without its password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


class PostgresReads:
    """Questions to whichever connection `_source` is: the pool, or the one of a transaction."""

    _source: Any
    _asked: Counter

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            rows: Sequence[Row] = await self._source.fetch(text, *values(names, parameters))
        except Exception as error:
            raise _said(error) from error
        return rows

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            row: Row | None = await self._source.fetchrow(text, *values(names, parameters))
        except Exception as error:
            raise _said(error) from error
        return row

    async def value(self, statement: str, **parameters: Any) -> Any:
        row = await self.one(statement, **parameters)
        return row[0] if row else None


class PostgresTransaction(PostgresReads):
    """One transaction on a connection of its own."""

    def __init__(self, connection: Any, asked: Counter) -> None:
        self._source, self._asked = connection, asked
        self.then: list[Callable[[], None]] = []
        self.logged = 0

    def after_commit(self, call: Callable[[], None]) -> None:
        self.then.append(call)

    async def execute(self, statement: str, **parameters: Any) -> int:
        text, names = numbered(statement)
        self._asked.inc()
        try:
            return _touched(await self._source.execute(text, *values(names, parameters)))
        except Exception as error:
            raise _said(error) from error

    async def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> int:
        text, names = numbered(f"{statement} returning 1")  # sent all at once; what comes back tells which took effect
        self._asked.inc()
        try:
            return len(await self._source.fetchmany(text, [values(names, row) for row in rows]))
        except Exception as error:
            raise _said(error) from error

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


class PostgresDatabase(PostgresReads):
    """One context's schema: a pool of connections for its transactions and for reads of what is committed."""

    dialect = POSTGRES
    shared = True

    def __init__(self, pool: Any, address: Address, url: str) -> None:
        self._source = self._pool = pool
        self._asked = telemetry.STATEMENTS.labels(address.schema)
        self.context, self._address, self._url = address.schema, address, url
        self.lane = asyncio.Lock()
        self._holder = secrets.token_hex(8)
        self._held: dict[str, float] = {}
        self._watchers: list[Callable[[int], None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._told = 0
        self._telling: asyncio.Task[None] | None = None
        self._count, self._waiting = telemetry.COMMITTED.labels(self.context), telemetry.WAITING.labels(self.context)
        self._seconds = telemetry.COMMITS.labels(self.context)
        telemetry.CONNECTIONS.labels(self.context, "open").set_function(pool.get_size)
        telemetry.CONNECTIONS.labels(self.context, "idle").set_function(pool.get_idle_size)
        telemetry.CONNECTIONS.labels(self.context, "most").set(pool.get_max_size())

    def begin(self) -> _Begun:
        return _Begun(self)

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        _refuse_bypass(self)
        return await super().all(statement, **parameters)

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        _refuse_bypass(self)
        return await super().one(statement, **parameters)

    async def execute_alone(self, statement: str) -> None:
        """Runs what a transaction of ours can't or need not be around."""
        await self._pool.execute(statement)

    async def lease(self, name: str, seconds: float) -> bool:
        """Whether this process is the one that may do `name` now; it stays so for `seconds` behind the last time it asked."""
        now = time.monotonic()
        if now < self._held.get(name, 0) - seconds / 2:
            return True
        got = await super().value(
            """insert into lease (name, holder, until) values (:name, :holder, now() + make_interval(secs => :seconds))
               on conflict (name) do update set holder = excluded.holder, until = excluded.until
               where lease.holder = excluded.holder or lease.until < now() returning 1""",
            name=name, holder=self._holder, seconds=seconds,
        )  # fmt: skip
        if got:
            self._held[name] = now + seconds
        return bool(got)

    def tell(self, position: int) -> None:
        """Has other processes know, soon, that the log has grown as far as `position`; many times count as one."""
        self._told = max(self._told, position)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def watch(self, heard: Callable[[int], None]) -> None:
        """Has `heard` called with the position when another process has told of one."""
        self._watchers.append(heard)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        for task in (self._listening, self._telling):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        for name in self._held:
            with suppress(Unavailable, Interleaved, asyncpg.UndefinedTableError):  # it runs out by itself, or went with its schema
                async with self.begin() as tx:
                    await tx.execute("delete from lease where name = :name and holder = :holder", name=name, holder=self._holder)
        try:
            await asyncio.wait_for(self._pool.close(), CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def _tell(self) -> None:
        # not in the writers' transactions: a commit that notifies takes a lock of the whole server, which would make all of them queue
        await asyncio.sleep(TELL_SECONDS)
        position, self._telling = self._told, None
        try:
            await self._pool.execute("select pg_notify($1, $2)", f"torg_{self.context}", f"{self._holder} {position}")
        except Exception as error:  # noqa: BLE001 whoever listens looks now and then all the same
            telemetry.log.debug("a notification was not sent", context=self.context, reason=repr(error))

    async def _listen(self) -> None:
        pause = 0.1
        while True:
            try:
                connection = await _whole(asyncpg.connect(self._url, server_settings=self._address.settings(), timeout=WAIT_SECONDS))
                try:
                    ended = asyncio.Event()
                    connection.add_termination_listener(lambda _, ended=ended: ended.set())
                    await connection.add_listener(f"torg_{self.context}", self._hear)
                    pause = 0.1
                    for heard in self._watchers:
                        heard(0)  # something may have been told while nobody listened
                    await ended.wait()
                finally:
                    connection.terminate()
            except (*_AWAY, asyncpg.PostgresError) as error:
                telemetry.log.warning("cannot listen to PostgreSQL", context=self.context, reason=repr(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _hear(self, _: object, __: int, ___: str, payload: object) -> None:
        holder, _, position = str(payload).partition(" ")
        if holder != self._holder:
            for heard in self._watchers:
                heard(int(position or 0))


class _Begun:
    """A transaction as a context manager; what follows the commit runs even if whoever waits for it has gone away."""

    __slots__ = ("_connection", "_database", "_token", "_transaction")

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database

    async def __aenter__(self) -> PostgresTransaction:
        database = self._database
        database._waiting.inc()
        try:
            self._connection = await database._pool.acquire(timeout=WAIT_SECONDS)
        except TimeoutError as error:
            raise Unavailable(f"all connections of {database.context} to PostgreSQL have been busy for {WAIT_SECONDS:.0f} s") from error
        except Exception as error:
            raise _said(error) from error
        finally:
            database._waiting.dec()
        try:
            await self._connection.execute(BEGIN)
        except BaseException as error:
            await asyncio.shield(_release(database._pool, self._connection))
            raise _said(error) from error
        self._transaction = PostgresTransaction(self._connection, database._asked)
        self._token = _open_here.set(database)
        return self._transaction

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _open_here.reset(self._token)
        await asyncio.shield(asyncio.ensure_future(self._undo() if kind is not None else self._commit()))

    async def _undo(self) -> None:
        try:
            await self._connection.execute("rollback")
        except Exception as error:  # noqa: BLE001 what is undone by the loss of its connection is undone as well; the caller has the first error to raise
            telemetry.log.debug("a rollback was not heard", context=self._database.context, reason=repr(error))
            self._connection.terminate()
        finally:
            await _release(self._database._pool, self._connection)

    async def _commit(self) -> None:
        began = time.perf_counter()
        try:
            status = await self._connection.execute("commit")
        except Exception as error:
            raise _said(error) from error
        finally:
            await _release(self._database._pool, self._connection)
        if status != "COMMIT":
            raise Interleaved("a statement of this transaction had failed, so that PostgreSQL undid all of it")
        self._database._seconds.observe(time.perf_counter() - began)
        self._database._count.inc()
        for call in self._transaction.then:
            try:
                call()
            except Exception as error:  # noqa: BLE001 what is durable stays so: a defect in what follows is told, and keeps nobody else from hearing of it
                telemetry.log.error("what was to follow a commit failed", context=self._database.context, exc_info=error)


async def _whole(connecting: Coroutine[Any, Any, Any]) -> Any:
    """A connection that is being made when its maker is cancelled is ended, not left behind."""
    task = asyncio.ensure_future(connecting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(*_AWAY, asyncpg.PostgresError):
            (await task).terminate()
        raise


async def _release(pool: Any, connection: Any) -> None:
    try:
        await pool.release(connection)
    except Exception as error:  # noqa: BLE001 the pool drops a connection that it can't take back
        telemetry.log.debug("a connection was dropped", reason=repr(error))


def _refuse_bypass(database: PostgresDatabase) -> None:
    if _open_here.get() is database:
        raise RuntimeError("this read is outside the transaction that is open around it: others may change what it sees; ask the transaction")


def _touched(status: str) -> int:
    """The last word of a command's tag: INSERT 0 1, UPDATE 3."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0


def _said(error: BaseException) -> BaseException:
    """The kit's word for it: Interleaved, Unavailable, or the error itself where it is a defect."""
    if isinstance(error, (*_INTERLEAVED, asyncpg.InvalidCachedStatementError)):
        return Interleaved(str(error))
    if isinstance(error, asyncpg.UniqueViolationError):
        return Occupied(str(error))
    if isinstance(error, asyncpg.DataError) or (isinstance(error, asyncpg.InterfaceError) and "another operation is in progress" in str(error)):
        return error
    if isinstance(error, _AWAY):
        return Unavailable(f"PostgreSQL does not answer as it should: {error or type(error).__name__}")
    return error
