"""Where a context's schema is, and how it comes to be there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from torg.kit.errors import Unavailable
from torg.kit.sql.postgres.faults import AWAY

CONNECTIONS: Final = 8  # of one context in one process
WAIT_SECONDS: Final = 5.0  # for a connection: to be made, or to be free
STATEMENT_SECONDS: Final = 10
LOCK_SECONDS: Final = 3
IDLE_SECONDS: Final = 15  # that a transaction may keep its locks without asking anything: a process that was stopped loses them


@dataclass(frozen=True)
class Address:
    """Where a context's schema is. `url` as PostgreSQL's libpq takes it; its query may also set the size of the pool (`connections`), how many seconds to
    `wait` for one of it, and what the server calls statement_timeout, lock_timeout and so on."""

    url: str
    schema: str
    role: str = ""
    connections: int = CONNECTIONS
    patience: float = WAIT_SECONDS

    @property
    def plain(self) -> str:
        """The URL without what is ours alone in it."""
        parts = urlsplit(self.url)
        options = {name: value for name, value in self._options().items() if name not in ("connections", "wait")}
        return urlunsplit(parts._replace(query=urlencode(options)))

    @property
    def most(self) -> int:
        """How many connections there may be at once."""
        return int(self._options().get("connections", self.connections))

    @property
    def wait(self) -> float:
        return float(self._options().get("wait", self.patience))

    @property
    def shown(self) -> str:
        """For people: without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.netloc.rpartition('@')[2]}{parts.path}"

    def settings(self) -> dict[str, str]:
        """What each session of it is set to, unless the URL says otherwise."""
        chosen = {
            "search_path": self.schema,
            "application_name": f"torg {self.schema}",
            "statement_timeout": f"{STATEMENT_SECONDS}s",
            "lock_timeout": f"{LOCK_SECONDS}s",
            "idle_in_transaction_session_timeout": f"{IDLE_SECONDS}s",
            **({"role": self.role} if self.role else {}),
        }
        return {name: value for name, value in chosen.items() if name not in self._options()}

    def _options(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.url).query))


async def prepare(url: str, schema: str, role: str = "") -> None:
    """Makes the schema, and the role that owns it, where they are missing: nobody else's role may look into it. Safe when several start at once."""
    address = Address(url, schema)
    try:
        connection = await asyncpg.connect(address.plain, timeout=address.wait)
    except (*AWAY, asyncpg.PostgresError) as error:
        raise Unavailable(f"PostgreSQL at {address.shown} cannot be reached: {error or type(error).__name__}") from error
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
