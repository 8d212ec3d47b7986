"""PostgreSQL for tests: a real server, and throw-away schemas and databases on it."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from torg.kit.sql.postgres import Address, PostgresDatabase, connect, prepare
from torg.kit.testing.engines import running

SUITES = "TORG_TEST_DB"
"""The variable that has `open_store` open its stores on a server."""


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server for the session: the one that TORG_TEST_POSTGRES names, else one that is started for it."""
    with running("postgres") as settings:
        yield settings["TORG_DB"]


@asynccontextmanager
async def open_schema(url: str, context: str, connections: int = 4) -> AsyncIterator[PostgresDatabase]:
    """A new schema, dropped in the end."""
    schema = f"{context}_{secrets.token_hex(6)}"
    await prepare(url, schema)
    database = await connect(Address(url, schema, connections=connections))
    try:
        yield database
    finally:
        await database.close()
        await drop_schema(url, schema)


async def drop_schema(url: str, schema: str) -> None:
    connection = await asyncpg.connect(Address(url, schema).plain)
    try:
        await connection.execute("set lock_timeout = '10s'")
        await connection.execute(f'drop schema "{schema}" cascade')
    finally:
        await connection.close()


@asynccontextmanager
async def own_base(url: str) -> AsyncIterator[str]:
    """The URL of a new database of that server, dropped in the end: contexts find their schemas by their own names in it. Without a server none: SQLite."""
    if not url:
        yield ""
        return
    name = f"torg_{secrets.token_hex(6)}"
    await _outside(url, f"create database {name}")
    try:
        yield urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    finally:
        await _outside(url, f"drop database {name} with (force)")


async def _outside(url: str, statement: str) -> None:
    connection = await asyncpg.connect(Address(url, "").plain)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def suites_on_a_server() -> Iterator[None]:
    """Has `open_store` open its stores on a server: the one that TORG_TEST_DB names, else one that need not wait for its disk."""
    if os.environ.get(SUITES):
        yield
        return
    with running("postgres") as settings:
        url = settings["TORG_DB"]
        os.environ[SUITES] = f"{url}{'&' if '?' in url else '?'}synchronous_commit=off"
        try:
            yield
        finally:
            del os.environ[SUITES]
