"""Reading from a replica, and knowing how far behind it is.

The primary's log of writes has positions, and the replica says up to which it has replayed them. So this process now and then marks where the primary
stands: whatever was acknowledged before a mark was asked for lies before it. A replica that has replayed up to a mark shows all of that, whoever wrote
it, through whichever instance (decision 14). Wherever that can't be told, and whenever the replica does not answer, the primary is asked."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

from torg.kit import telemetry
from torg.kit.errors import Interleaved, Unavailable
from torg.kit.sql.port import Reads, Row
from torg.kit.sql.postgres.pool import Pool
from torg.kit.sql.postgres.transaction import PostgresReads

T = TypeVar("T")
MARKS: Final = 64  # remembered
AGAIN_SECONDS: Final = 0.25  # between looks at a replica that is too far behind for what may be behind
SOON_SECONDS: Final = 0.003  # that a replica gets to come up to what was written just now
AWAY_SECONDS: Final = 5.0  # without questions for a replica that did not answer

_STANDS = "select cast(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0') as bigint)"
_REPLAYED = "select case when pg_is_in_recovery() then cast(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') as bigint) end"


class Replica:
    """A replica of one context's schema, beside its primary."""

    def __init__(self, pool: Pool, reads: PostgresReads, primary: PostgresReads) -> None:
        self.pool, self.reads, self._primary = pool, reads, primary
        self._born = time.monotonic()  # what this process did to the schema when it started is not older
        self._marks: deque[tuple[float, int]] = deque(maxlen=MARKS)
        self._marking: asyncio.Future[bool] | None = None
        self._asked_at, self._replayed, self._away_until = 0.0, 0, 0.0

    async def shows(self, since: float) -> bool:
        """Whether all that was acknowledged before `since` (of the monotonic clock) can be seen there."""
        since = max(since, self._born)
        if time.monotonic() < self._away_until:
            return False
        if self._has(since):
            self._mark_ahead(since)
            return True
        return await self._catches_up(since)

    def is_away(self) -> None:
        """Leaves it alone for a while."""
        self._away_until = time.monotonic() + AWAY_SECONDS

    def _has(self, since: float) -> bool:
        return any(marked >= since and position <= self._replayed for marked, position in self._marks)

    async def _catches_up(self, since: float) -> bool:
        now = time.monotonic()
        if since <= self._asked_at and now < self._asked_at + AGAIN_SECONDS:
            return False  # it was too far behind a moment ago
        self._asked_at = now
        if not await self._marked(since):
            return False
        for pause in (0, SOON_SECONDS):
            await asyncio.sleep(pause)
            self._replayed = max(self._replayed, await self._ask_replica())
            if self._has(since):
                return True
        return False

    async def _marked(self, since: float) -> bool:
        """Marks where the primary stands, at `since` or later; those who want that at the same time ask once. False when it does not answer."""
        while not any(marked >= since for marked, _ in self._marks):
            self._marking = self._marking or asyncio.ensure_future(self._ask_primary())
            if not await asyncio.shield(self._marking):
                return False
        return True

    def _mark_ahead(self, since: float) -> None:
        """A mark for later, so that a replica which is only a little behind is not too far behind for the next one that is needed."""
        if self._marking is None and self._marks[-1][0] < (since + time.monotonic()) / 2:
            self._marking = asyncio.ensure_future(self._ask_primary())

    async def _ask_primary(self) -> bool:
        began = time.monotonic()
        try:
            self._marks.append((began, await self._primary.value(_STANDS)))
        except Exception as error:  # noqa: BLE001 without a mark the primary is asked for the answer itself, and tells what is wrong
            telemetry.log.debug("it is not known where the primary stands", reason=repr(error))
            return False
        finally:
            self._marking = None
        return True

    async def _ask_replica(self) -> int:
        try:
            return await self.reads.value(_REPLAYED) or 0
        except Exception as error:  # noqa: BLE001 the primary is asked instead
            telemetry.log.info("a replica does not answer", reason=repr(error))
            self.is_away()
            return 0


class Relaxed:
    """Implements Reads by the replica as long as it is not more than `behind` seconds behind, else by the primary."""

    def __init__(self, replica: Replica, primary: Reads, behind: float, context: str) -> None:
        self._replica, self._primary, self._behind, self._context = replica, primary, behind, context

    async def all(self, statement: str, **parameters: Any) -> Sequence[Row]:
        return await self._ask(lambda reads: reads.all(statement, **parameters))

    async def one(self, statement: str, **parameters: Any) -> Row | None:
        return await self._ask(lambda reads: reads.one(statement, **parameters))

    async def value(self, statement: str, **parameters: Any) -> Any:
        return await self._ask(lambda reads: reads.value(statement, **parameters))

    async def _ask(self, question: Callable[[Reads], Awaitable[T]]) -> T:
        if await self._replica.shows(time.monotonic() - self._behind):
            try:
                answer = await question(self._replica.reads)
            except (Unavailable, Interleaved) as error:  # it went away, or what was read was changed there meanwhile
                telemetry.log.info("a replica did not answer", context=self._context, reason=str(error))
                if isinstance(error, Unavailable):
                    self._replica.is_away()
            else:
                telemetry.RELAXED.labels(self._context, "replica").inc()
                return answer
        telemetry.RELAXED.labels(self._context, "primary").inc()
        return await question(self._primary)
