"""What a context may ask of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol


class Row(Protocol):
    """A result row: by column name or number."""

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

    async def execute(self, statement: str, **parameters: Any) -> int:
        """Runs a change; the number of rows it touched."""
        ...

    async def execute_many(self, statement: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Runs a change once for each row of parameters; the number of rows all of them touched."""
        ...

    def after_commit(self, call: Callable[[], None]) -> None:
        """Has `call` run once this transaction is durable, in commit order, even if whoever waits for it has gone away."""
        ...

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Undoes just what happens inside it when that raises."""
        ...


class Database(Reads, Protocol):
    """One context's records. Reads outside a transaction see what is committed."""

    def begin(self) -> AbstractAsyncContextManager[SqlTransaction]:
        """A transaction: commits when left, durable before the caller goes on; undone when left by an exception."""
        ...

    async def close(self) -> None: ...
