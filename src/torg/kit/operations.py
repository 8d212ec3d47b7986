"""A context's desk for operators: its dead letters, lags, and what must stay true in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from torg.kit.bus import BusConsumer, FailedMessage, Failures
from torg.kit.messages import Meta
from torg.kit.sql import Row
from torg.kit.store import Store
from torg.kit.values import moment, stamp

LOOKED_THROUGH = 20_000  # log rows that one look for rows of a name goes through at most


@dataclass(frozen=True)
class Invariant:
    """Something that must always hold. `check` gives a sentence for each violation found, none when it holds."""

    name: str
    sentence: str
    check: Callable[[], Awaitable[list[str]]]


class LogRow(msgspec.Struct, frozen=True):
    """A row of a log as people read it; `data` is the message as it is kept."""

    context: str
    position: int
    stream: str
    version: int
    name: str
    at: datetime
    data: msgspec.Raw
    meta: Meta


class OverdueSaga(msgspec.Struct, frozen=True):
    """A saga that nobody has looked after in time, or that an operator must."""

    id: str
    type: str
    subject: str
    status: str
    deadline: datetime


class Desk:
    """What an operator can see and do in one context."""

    def __init__(self, context: str, store: Store, failures: Failures) -> None:
        self.context, self.store, self._failures = context, store, failures
        self.consumers: Sequence[BusConsumer] = ()
        self.invariants: Sequence[Invariant] = ()

    async def failed_messages(self, dead: bool | None = None) -> Sequence[FailedMessage]:
        """Those given up (`dead`), those still tried, or both; newest first."""
        return await self._failures.all(dead)

    async def redrive(self, consumer: str, id: str) -> None:
        """Has a dead letter handled anew. Raises NotFound."""
        await self._failures.redrive(consumer, id)
        for running in self.consumers:
            if running.name == consumer:
                running.look_again()

    async def lags(self) -> dict[str, dict[str, int]]:
        """How many rows each consumer has yet to handle, by source."""
        return {consumer.name: await consumer.lag() for consumer in self.consumers}

    async def browse(self, stream: str, name: str, before: int, limit: int) -> tuple[list[LogRow], int]:
        """Log rows newest first, behind position `before` (0: from the newest), of one stream and name unless empty; and where to go on, 0 at the end.

        Without a stream it looks through 20,000 rows at most, so that a page may be short and yet not the last one."""
        before = before or await self.store.log.head() + 1
        floor = 0 if stream else max(before - LOOKED_THROUGH, 0)
        conditions = ["position < :before", "position > :floor - 1", *(["stream = :stream"] if stream else []), *(["name = :name"] if name else [])]
        rows = await self.store.database.all(
            f"select position, stream, version, name, data, meta, at from log where {' and '.join(conditions)} order by position desc limit :limit",
            before=before, floor=floor, stream=stream, name=name, limit=limit,
        )  # fmt: skip
        onward = rows[-1]["position"] if len(rows) == limit else floor
        return [_log_row(self.context, row) for row in rows], onward if onward > 1 else 0

    async def torn_streams(self, after: int, until: int) -> list[str]:
        """Streams with rows between two positions whose versions do not follow one another from 1."""
        rows = await self.store.database.all(
            """select stream from (select stream, min(version) as low, max(version) as high, count(*) as held from log
                   where position > :after and position <= :until group by stream) as part
               where held <> high - low + 1 or (low > 1 and not exists (
                   select 1 from log where log.stream = part.stream and log.version = part.low - 1))""",
            after=after, until=until,
        )  # fmt: skip
        return [row["stream"] for row in rows]

    async def missing_versions(self, stream: str) -> int:
        """How many versions of a stream are not in the log, up to its last one."""
        row = await self.store.database.one("select count(*) as held, max(version) as last from log where stream = :stream", stream=stream)
        return (row["last"] or 0) - row["held"] if row else 0

    async def overdue_sagas(self, before: datetime) -> list[OverdueSaga]:
        """Sagas whose deadline has passed before a moment without anybody looking, or that an operator must look at; a hundred at most."""
        rows = await self.store.database.all(
            "select id, type, subject, status, deadline from saga where deadline < :before or status = 'stuck' order by deadline limit 100",
            before=stamp(before),
        )
        return [OverdueSaga(row["id"], row["type"], row["subject"], row["status"], moment(row["deadline"])) for row in rows]


def _log_row(context: str, row: Row) -> LogRow:
    data, meta = msgspec.Raw(row["data"].encode()), msgspec.json.decode(row["meta"], type=Meta)
    return LogRow(context, row["position"], row["stream"], row["version"], row["name"], moment(row["at"]), data, meta)
