"""A context's store: its records and its log, changed together in one commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar, Token
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

import msgspec

from torg.kit.calls import in_transaction, undisturbed
from torg.kit.errors import ConcurrentChange
from torg.kit.log import Log
from torg.kit.messages import Envelope, Message
from torg.kit.sql import Database, Row, SqlTransaction
from torg.kit.telemetry import current_meta
from torg.kit.values import Clock, stamp

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """What a client was told: the exact bytes, for the next time the same key comes."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


class AwaitedAnswer(Protocol):
    """The edge's side of an Idempotency-Key: who asks with which key and body, and how a reply is put into bytes."""

    caller: str
    key: str
    fingerprint: str
    filed: bool

    def render(self, reply: object) -> Answer: ...


awaited_answer: ContextVar[AwaitedAnswer | None] = ContextVar("awaited_answer", default=None)
_ambient: ContextVar[Transaction | None] = ContextVar("transaction", default=None)


class Transaction:
    """What a handler holds between begin and commit: SQL on its own records, and rows for its own log."""

    def __init__(self, store: Store, sql: SqlTransaction) -> None:
        self._store, self.sql = store, sql
        self.appended: list[Envelope] = []

    def all(self, statement: str, **parameters: Any) -> Awaitable[Sequence[Row]]:
        return self.sql.all(statement, **parameters)

    def one(self, statement: str, **parameters: Any) -> Awaitable[Row | None]:
        return self.sql.one(statement, **parameters)

    def value(self, statement: str, **parameters: Any) -> Awaitable[Any]:
        return self.sql.value(statement, **parameters)

    def execute(self, statement: str, **parameters: Any) -> Awaitable[int]:
        return self.sql.execute(statement, **parameters)

    def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> Awaitable[int]:
        return self.sql.execute_many(statement, rows)

    def claim(self, name: str) -> Awaitable[None]:
        """Has this transaction alone, of those under way at the same time that claim this name of its context, come true."""
        return self.sql.claim(name)

    async def append(self, stream: str, messages: Sequence[Message], expected: int | None = None) -> list[Envelope]:
        """Adds events (or commands for another context) to the log, and gives their rows; they reach the bus when the commit is durable."""
        at = stamp(self._store.clock())
        rows = await self._store.log.append(self.sql, stream, messages, current_meta.get(), at, expected)
        self.appended += rows
        return rows

    async def stream(self, stream: str, after: int = 0) -> list[Envelope]:
        """The stream's rows behind a version, this transaction's own included."""
        return await self._store.log.stream(stream, after, self.sql)

    async def redact(self, stream: str, change: Callable[[Message], Message]) -> None:
        """Rewrites what a stream has said, for the erasure of personal data; who has read it already must be told by an event."""
        await self._store.log.redact(self.sql, stream, change)

    async def answer(self, reply: T) -> T:
        """Files what the client is about to be told in this same commit, if the request carries an Idempotency-Key. Call it last."""
        awaited = awaited_answer.get()
        if awaited is not None:
            await file_answer(self.sql, awaited, reply, stamp(self._store.clock()))
        return reply

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undoes just what happens inside it, log rows included, when that raises."""
        return _Savepoint(self)


class _Savepoint:
    __slots__ = ("_mark", "_sql", "_tx")

    def __init__(self, tx: Transaction) -> None:
        self._tx, self._mark, self._sql = tx, len(tx.appended), tx.sql.savepoint()

    async def __aenter__(self) -> None:
        await self._sql.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            del self._tx.appended[self._mark :]
        await self._sql.__aexit__(kind, error, trace)


class Store:
    """One context's records and log."""

    def __init__(self, context: str, database: Database, log: Log, clock: Clock) -> None:
        self.context, self.database, self.log, self.clock = context, database, log, clock

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begins one; or, inside one (a consumer's batch), joins it, so that a handler reads the same wherever it runs."""
        open_one = _ambient.get()
        return _Joined(open_one) if open_one is not None and open_one._store is self else _Own(self)

    async def undisturbed(self, work: Callable[[], Awaitable[T]], name: str) -> T:
        """Does `work`, anew where its transaction and another's got in each other's way: for what no handler's dispatcher does anew (a part of a job, of a
        handler whose earlier steps must not be repeated). Inside a transaction once: that would be lost as a whole. Raises Unavailable."""
        if in_transaction.get() or not self.database.shared:
            return await work()
        return await undisturbed(work, name, self.database.lane)

    async def answered(self, caller: str, key: str) -> tuple[str, Answer] | None:
        """The fingerprint and answer filed under a caller's key, if any."""
        row = await self.database.one("select fingerprint, status, headers, body from answer where caller = :caller and key = :key", caller=caller, key=key)
        if row is None:
            return None
        return row["fingerprint"], Answer(row["status"], msgspec.json.decode(row["headers"], type=tuple[tuple[str, str], ...]), row["body"])

    async def forget_answers(self, user_id: str) -> None:
        """Drops what is filed for this person's keys, and what others were told of them. Reads all that is filed before it writes."""
        said = await self.database.all("select caller, key from answer where caller = :id or body like :about", id=user_id, about=f'%"user_id":"{user_id}"%')
        if said:
            async with self.database.begin() as tx:
                await tx.execute_many("delete from answer where caller = :caller and key = :key", [dict(row) for row in said])

    async def file_answer(self, awaited: AwaitedAnswer, reply: object) -> None:
        """Files an answer whose effect is elsewhere, or that is a refusal, in a commit of its own. Raises ConcurrentChange."""
        await self.undisturbed(partial(self._file_answer, awaited, reply), "idempotency")

    async def _file_answer(self, awaited: AwaitedAnswer, reply: object) -> None:
        async with self.transaction() as tx:
            await file_answer(tx.sql, awaited, reply, stamp(self.clock()))


class _Own:
    __slots__ = ("_outer", "_sql", "_store", "_tokens", "_tx")

    def __init__(self, store: Store) -> None:
        self._store, self._sql = store, store.database.begin()

    async def __aenter__(self) -> Transaction:
        self._tx = Transaction(self._store, await self._sql.__aenter__())
        self._tokens: tuple[Token[Transaction | None], Token[bool]] = (_ambient.set(self._tx), in_transaction.set(True))
        return self._tx

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _ambient.reset(self._tokens[0])
        in_transaction.reset(self._tokens[1])
        if kind is None and self._tx.appended:
            self._tx.sql.after_commit(partial(self._store.log.publish, self._tx.appended))
        await self._sql.__aexit__(kind, error, trace)


class _Joined:
    __slots__ = ("_tx",)

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def __aenter__(self) -> Transaction:
        return self._tx

    async def __aexit__(self, *_: object) -> None: ...


async def file_answer(sql: SqlTransaction, awaited: AwaitedAnswer, reply: object, at: str) -> None:
    """Stores the answer under its key. Raises ConcurrentChange when another request with the same key was first."""
    answer = awaited.render(reply)
    filed = await sql.execute(
        """insert into answer (caller, key, fingerprint, status, headers, body, at)
           values (:caller, :key, :fingerprint, :status, :headers, :body, :at) on conflict do nothing""",
        caller=awaited.caller, key=awaited.key, fingerprint=awaited.fingerprint,
        status=answer.status, headers=msgspec.json.encode(answer.headers).decode(), body=answer.body, at=at,
    )  # fmt: skip
    if not filed:
        raise ConcurrentChange("idempotency.in_progress", "a request with this Idempotency-Key is being answered; ask again in a moment")
    sql.after_commit(partial(setattr, awaited, "filed", True))
