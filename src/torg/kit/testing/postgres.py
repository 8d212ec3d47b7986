"""PostgreSQL for tests: a real server, and throw-away schemas and databases on it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from torg.engines.port import Place
from torg.engines.postgres import BINARIES
from torg.engines.users import own, unprivileged
from torg.kit.ports import free_port
from torg.kit.sql.postgres import Address, PostgresDatabase, connect, prepare
from torg.kit.testing.engines import open_folder, running

PATIENCE = 30.0  # seconds for a connection: on a busy machine the shop's five are soon over
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
    database = await connect(Address(url, schema, connections=connections, patience=PATIENCE))
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


class Standby:
    """A streaming replica of a server at a place, from the same programs."""

    def __init__(self, primary: Place, folder: Path) -> None:
        self._primary, self._folder, self._user = primary, folder / "standby", unprivileged()
        self._password = (primary.data / "password").read_text().strip()
        self._server: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def url(self, of: str) -> str:
        """The primary's URL, at the replica."""
        return of.replace(f":{self._primary.port}/", f":{self.port}/")

    def copy(self) -> None:
        """Copies the primary as it runs."""
        command: list[str | Path] = [
            "pg_basebackup",
            "-D",
            self._folder,
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
            "-h",
            "127.0.0.1",
            "-p",
            str(self._primary.port),
            "-U",
            "postgres",
        ]
        done = self._run(command, {"PGPASSWORD": self._password})
        assert done.wait(120) == 0, "the primary can't be copied"

    def start(self) -> None:
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": 300, "hot_standby": "on"}
        self._server = self._run(["postgres", "-D", self._folder, *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))])

    def stop(self) -> None:
        if self._server:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)
            self._server = None

    async def ask(self, question: str) -> Any:
        """As its administrator; waits until it answers."""
        for _ in range(1200):
            try:
                connection = await asyncpg.connect(host="127.0.0.1", port=self.port, user="postgres", password=self._password, database="postgres", ssl=False)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
                continue
            try:
                return await connection.fetchval(question)
            finally:
                await connection.close()
        raise AssertionError("the replica does not answer")

    def _run(self, command: Sequence[str | Path], more: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        program = self._primary.home / BINARIES / str(command[0])
        found = str(program) if program.exists() else str(max(Path("/usr/lib/postgresql").glob(f"*/bin/{command[0]}")))
        return subprocess.Popen(
            [found, *map(str, command[1:])], cwd=self._folder.parent, env={**os.environ, "LC_ALL": "C", **(more or {})}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, user=self._user or None, group=self._user or None, extra_groups=[] if self._user else None,
        )  # fmt: skip


@asynccontextmanager
async def standby_of(primary: Place) -> AsyncIterator[Standby]:
    """Copied, started, and following."""
    with open_folder() as folder:
        own(folder, unprivileged())
        standby = Standby(primary, folder)
        standby.copy()
        standby.start()
        try:
            assert await standby.ask("select pg_is_in_recovery()")
            yield standby
        finally:
            standby.stop()
