"""A bounded pool of connections: who wants one waits so long at most, and one that was lost is replaced when the next is wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import asyncpg

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.sql.postgres.address import STATEMENT_SECONDS, Address
from torg.kit.sql.postgres.faults import AWAY, said

CLOSE_SECONDS: Final = 5.0


class _Connection(asyncpg.Connection):
    """Nothing here changes a session, so nothing need be put back when it returns to the pool: one round trip less each time."""

    def get_reset_query(self) -> str:
        return ""


class Pool:
    """Connections to one address."""

    def __init__(self, connections: Any, address: Address, named: str) -> None:
        self._connections, self._address, self._named = connections, address, named
        telemetry.CONNECTIONS.labels(named, "open").set_function(connections.get_size)
        telemetry.CONNECTIONS.labels(named, "idle").set_function(connections.get_idle_size)
        telemetry.CONNECTIONS.labels(named, "most").set(connections.get_max_size())

    async def lend(self) -> Any:
        """A connection, to be given back. Raises Unavailable when none is free, or can be made, in time."""
        try:
            async with asyncio.timeout(self._address.wait):
                return await self._connections.acquire()
        except TimeoutError as error:
            raise Unavailable(f"all connections of {self._named} to PostgreSQL have been busy for {self._address.wait:g} s") from error
        except Exception as error:
            raise said(error) from error

    async def take_back(self, connection: Any) -> None:
        try:
            await self._connections.release(connection)
        except Exception as error:  # noqa: BLE001 the pool drops a connection that it can't take back
            telemetry.log.debug("a connection was dropped", reason=repr(error))

    async def fetch(self, statement: str, *parameters: Any) -> Any:
        connection = await self.lend()
        try:
            return await connection.fetch(statement, *parameters)
        finally:
            await self.take_back(connection)

    async def fetchrow(self, statement: str, *parameters: Any) -> Any:
        connection = await self.lend()
        try:
            return await connection.fetchrow(statement, *parameters)
        finally:
            await self.take_back(connection)

    async def execute(self, statement: str, *parameters: Any) -> Any:
        connection = await self.lend()
        try:
            return await connection.execute(statement, *parameters)
        finally:
            await self.take_back(connection)

    async def close(self) -> None:
        """Ends all connections, in order where that does not take long."""
        try:
            await asyncio.wait_for(self._connections.close(), CLOSE_SECONDS)
        except TimeoutError:
            self._connections.terminate()


async def open_pool(address: Address, named: str, at_least: int = 1) -> Pool:
    """Raises Unavailable when nothing answers there."""
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)  # it would tell of a server that is away by tracebacks; whoever asks tells already
    try:
        made = await asyncpg.create_pool(
            address.plain, min_size=at_least, max_size=address.most, connection_class=_Connection, command_timeout=STATEMENT_SECONDS + 2,
            timeout=address.wait, statement_cache_size=512, max_cached_statement_lifetime=0, server_settings=address.settings(), init=_plain_numbers,
        )  # fmt: skip
    except (*AWAY, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {address.shown} does not let {address.schema} in: {error or type(error).__name__}") from error
    return Pool(made, address, named)


async def connected(address: Address) -> Any:
    """A connection outside of any pool. One that is being made when its maker is cancelled is ended, not left behind."""
    making: Coroutine[Any, Any, Any] = asyncpg.connect(address.plain, server_settings=address.settings(), timeout=address.wait)
    task = asyncio.ensure_future(making)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(*AWAY, asyncpg.PostgresError):
            (await task).terminate()
        raise


async def _plain_numbers(connection: Any) -> None:
    """Sums of bigint come as numeric: here they are what they are on SQLite."""
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=_number)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)
