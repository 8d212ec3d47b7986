"""LISTEN and NOTIFY: processes tell one another how far a log has grown. What they tell may be lost; whoever listens looks now and then all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import asyncpg

from torg.kit import telemetry
from torg.kit.sql.postgres.address import Address
from torg.kit.sql.postgres.faults import AWAY
from torg.kit.sql.postgres.pool import Pool, connected

TELL_SECONDS: Final = 0.001  # that notifications wait for one another
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between tries to listen


class Notices:
    """What the processes of a context tell one another. `holder` names this one."""

    def __init__(self, pool: Pool, address: Address, holder: str) -> None:
        self._pool, self._address, self._holder = pool, address, holder
        self._channel = f"torg_{address.schema}"
        self._watchers: list[Callable[[int], None]] = []
        self._listening: asyncio.Task[None] | None = None
        self._position = 0
        self._telling: asyncio.Task[None] | None = None

    def tell(self, position: int) -> None:
        """Has the others know, soon; many times count as one."""
        self._position = max(self._position, position)
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    def watch(self, heard: Callable[[int], None]) -> None:
        """Has `heard` called with what others tell (0: something may have been missed)."""
        self._watchers.append(heard)
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        for task in (self._listening, self._telling):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _tell(self) -> None:
        # not in the writers' transactions: a commit that notifies takes a lock of the whole server, which would make all of them queue
        await asyncio.sleep(TELL_SECONDS)
        position, self._telling = self._position, None
        try:
            await self._pool.execute("select pg_notify($1, $2)", self._channel, f"{self._holder} {position}")
        except Exception as error:  # noqa: BLE001 whoever listens looks now and then all the same
            telemetry.log.debug("a notification was not sent", context=self._address.schema, reason=repr(error))

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await connected(self._address)
                try:
                    ended = asyncio.Event()
                    connection.add_termination_listener(lambda _, ended=ended: ended.set())
                    await connection.add_listener(self._channel, self._hear)
                    pause = FIRST_PAUSE
                    self._pass_on(0)  # something may have been told while nobody listened
                    await ended.wait()
                finally:
                    connection.terminate()
            except (*AWAY, asyncpg.PostgresError) as error:
                telemetry.log.warning("cannot listen to PostgreSQL", context=self._address.schema, reason=repr(error), seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _hear(self, _: object, __: int, ___: str, payload: object) -> None:
        holder, _, position = str(payload).partition(" ")
        if holder != self._holder:
            self._pass_on(int(position or 0))

    def _pass_on(self, position: int) -> None:
        for heard in self._watchers:
            heard(position)
