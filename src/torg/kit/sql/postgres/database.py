"""One context's schema: transactions and reads over a pool, leases, and what its processes tell one another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import asyncpg

from torg.kit import telemetry
from torg.kit.errors import Interleaved, Unavailable
from torg.kit.sql.dialect import POSTGRES
from torg.kit.sql.port import Reads, Row, refuse_bypass
from torg.kit.sql.postgres.address import Address
from torg.kit.sql.postgres.months import keep_months
from torg.kit.sql.postgres.notices import Notices
from torg.kit.sql.postgres.pool import Pool, open_pool
from torg.kit.sql.postgres.replica import Relaxed, Replica
from torg.kit.sql.postgres.transaction import Begun, Counts, PostgresReads
from torg.kit.values import new_id

REPLICA_WAIT_SECONDS: Final = 1.0
_LEASE = """insert into lease (name, holder, until) values (:name, :holder, now() + make_interval(secs => :seconds))
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
    where lease.holder = excluded.holder or lease.until < now() returning 1"""


async def connect(address: Address, replica: str = "", holder: str = "") -> PostgresDatabase:
    """Opens the pool. Raises Unavailable when nothing answers there. `replica` is the URL of one that need not answer now. `holder` is as whom leases are held:
    with a name that is stable over restarts and unlike any other's, a process that was killed has its leases back at once."""
    beside = Address(replica, address.schema, address.role, address.connections, REPLICA_WAIT_SECONDS) if replica else None
    pool = await open_pool(address, address.schema)
    return PostgresDatabase(pool, address, await open_pool(beside, f"{address.schema} replica", at_least=0) if beside else None, holder)


class PostgresDatabase(PostgresReads):
    """Implements Database over a schema that other processes write to as well."""

    dialect = POSTGRES
    shared = True

    def __init__(self, pool: Pool, address: Address, replica: Pool | None = None, holder: str = "") -> None:
        self.context, self._pool, self._counts = address.schema, pool, Counts(address.schema)
        super().__init__(pool, self._counts.asked)
        self.lane = asyncio.Lock()
        self._holder = holder or new_id()
        self._held: dict[str, float] = {}
        self._replica = Replica(replica, PostgresReads(replica, self._counts.asked), PostgresReads(pool, self._counts.asked)) if replica else None
        self._notices = Notices(pool, address, new_id())

    def begin(self) -> Begun:
        return Begun(self, self._pool, self._counts)

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        refuse_bypass(self)
        return await super().all(statement, **parameters)

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        refuse_bypass(self)
        return await super().one(statement, **parameters)

    async def execute_alone(self, statement: str) -> None:
        """Runs what a transaction of ours can't or need not be around."""
        await self._pool.execute(statement)

    def relaxed(self, behind: float) -> Reads:
        refuse_bypass(self)
        return Relaxed(self._replica, self, behind, self.context) if self._replica else self

    async def lease(self, name: str, seconds: float) -> bool:
        """Whether this process is the one that may do `name` now; it stays so for `seconds` behind the last time it asked."""
        now = time.monotonic()
        if now < self._held.get(name, 0) - seconds / 2:
            return True
        got = await super().value(_LEASE, name=name, holder=self._holder, seconds=seconds)
        if got:
            self._held[name] = now + seconds
        else:
            self._held.pop(name, None)
        return bool(got)

    async def tend(self, now: datetime) -> None:
        """Makes the partitions of the coming months."""
        if made := await keep_months(self, now):
            telemetry.log.info("months were made", context=self.context, partitions=made)

    def tell(self, position: int) -> None:
        self._notices.tell(position)

    def watch(self, heard: Callable[[int], None]) -> None:
        self._notices.watch(heard)

    async def close(self) -> None:
        await self._notices.close()
        for name in self._held:
            with suppress(Unavailable, Interleaved, asyncpg.UndefinedTableError):  # it runs out by itself, or went with its schema
                async with self.begin() as tx:
                    await tx.execute("delete from lease where name = :name and holder = :holder", name=name, holder=self._holder)
        if self._replica:
            await self._replica.pool.close()
        await self._pool.close()
