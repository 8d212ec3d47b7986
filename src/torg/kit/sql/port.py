"""What a context may ask of its records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final, Protocol

from torg.kit.sql.dialect import Dialect


class Row(Protocol):
    """A result row: by column name or number; going through it gives the values."""

    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, key: str | int) -> Any: ...
    def keys(self) -> list[str]: ...


class Reads(Protocol):
    """Questions in SQL, with :named parameters."""

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]: ...
    async def one(self, statement: str, **parameters: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def value(self, statement: str, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        ...


class SqlTransaction(Reads, Protocol):
    """Reads what it and those before it wrote; everything in it becomes durable together or not at all."""

    logged: int
    """Log rows added so far."""

    async def execute(self, statement: str, **parameters: Any) -> int:
        """Runs a change; the number of rows it touched."""
        ...

    async def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Runs a change once for each row of parameters; the number of rows all of them touched."""
        ...

    async def claim(self, name: str) -> None:
        """Of transactions under way at the same time that claim the same name only one commits, the others are Interleaved: for a rule about rows that
        they read and neither writes. Where one at a time writes, that is so anyway."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Has `call` run once this transaction is durable, in commit order, even if whoever waits for it has gone away."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undoes just what happens inside it when that raises."""
        ...


A_MOMENT: Final = 5.0  # seconds that reports, and lists for those who look after everybody's, may be behind


class Database(Reads, Protocol):
    """One context's records. Reads outside a transaction see what is committed. `shared` where other processes write to it as well."""

    dialect: Dialect
    shared: bool
    lane: asyncio.Lock
    """For those whose transactions others got in the way of."""

    def begin(self) -> AbstractAsyncContextManager[SqlTransaction]:
        """A transaction: commits when left, durable before the caller goes on; undone when left by an exception. Raises Interleaved where it can't have
        been alone with what it read: nothing of it happened, and it may be done anew."""
        ...

    def relaxed(self, behind: float) -> Reads:
        """For questions whose answers may be `behind` seconds old: a replica's, where there is one that is not older. With 0 nothing is missing that was
        acknowledged, to whomever, before the question. Not within a transaction."""
        ...

    async def lease(self, name: str, seconds: float) -> bool:
        """Whether this process is the one that may do `name` now, for `seconds` from when it asked last; always, where no other writes to these records."""
        ...

    def tell(self, position: int) -> None:
        """Has other processes know, soon and at best, that the log has grown as far as `position`."""
        ...

    def watch(self, heard: Callable[[int], None]) -> None:
        """Has `heard` called with what other processes tell (0: something may have been missed)."""
        ...

    async def tend(self, now: datetime) -> None:
        """What the engine needs done now and then, in one process: asked for at each start and every hour."""
        ...

    async def close(self) -> None: ...


open_here: ContextVar[object] = ContextVar("open_here", default=None)
"""The database whose transaction is open around what runs."""


def refuse_bypass(database: object) -> None:
    """A read beside an open transaction would see another state than the transaction does."""
    if open_here.get() is database:
        raise RuntimeError("this read is outside the transaction that is open around it: others may change what it sees; ask the transaction")
