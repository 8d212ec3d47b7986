"""A context's desk for operators: its dead letters, lags, and what must stay true in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from torg.kit.auditing import Inspected, Inspector, Invariant
from torg.kit.bus import FailedMessage, Failures
from torg.kit.messages import Envelope, Message, Meta
from torg.kit.sql import Row
from torg.kit.store import Store
from torg.kit.values import moment, stamp

LOOKED_THROUGH = 20_000  # log rows that one look for rows of a name goes through at most


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


class LogPage(msgspec.Struct, frozen=True):
    """Rows newest first; `onward` is the position to go on before, 0 at the end."""

    rows: tuple[LogRow, ...]
    onward: int


class Progress(msgspec.Struct, frozen=True):
    """How far a consumer has come in a source, and how many rows it still has to handle."""

    consumer: str
    source: str
    position: int
    lag: int


class ReadLog(Protocol):
    """A context's log as others may read it."""

    async def head(self) -> int: ...
    async def named(self, kinds: Collection[type[Message]], after: int, until: int) -> Sequence[Envelope]: ...
    async def step(self, after: int, rows: int, until: int) -> int: ...


class DeskView(Protocol):
    """What an operator can see and do in one context, in whichever process it runs. Everything may raise Unavailable."""

    context: str

    @property
    def log(self) -> ReadLog: ...
    async def failed_messages(self, dead: bool | None = None) -> Sequence[FailedMessage]: ...
    async def redrive(self, consumer: str, id: str) -> None: ...
    async def redrive_all(self, consumer: str, name: str) -> int: ...
    async def progress(self) -> Sequence[Progress]: ...
    async def settled(self) -> bool: ...
    async def inspect(self) -> Sequence[Inspected]: ...
    async def browse(self, stream: str, name: str, before: int, limit: int) -> LogPage: ...
    async def rows(self, stream: str, after: int, limit: int) -> Sequence[LogRow]: ...
    async def torn_streams(self, after: int, until: int) -> Sequence[str]: ...
    async def missing_versions(self, stream: str) -> int: ...
    async def overdue_sagas(self, before: datetime) -> Sequence[OverdueSaga]: ...


class Follower(Protocol):
    """What follows logs: a consumer, or the relay to a broker."""

    name: str

    def look_again(self) -> None: ...
    async def positions(self) -> Mapping[str, int]: ...
    async def lag(self) -> dict[str, int]: ...


class Desk:
    """Implements DeskView for a context of this process."""

    def __init__(self, context: str, store: Store, failures: Failures) -> None:
        self.context, self.store, self._failures = context, store, failures
        self.consumers: Sequence[Follower] = ()
        self.invariants: Sequence[Invariant] = ()
        self.refresh: Callable[[], Awaitable[None]] = _nothing_to_refresh
        """Has what is known of other processes' logs brought up to date."""
        self._inspector = Inspector(context)

    async def failed_messages(self, dead: bool | None = None) -> Sequence[FailedMessage]:
        """Those given up (`dead`), those still tried, or both; newest first."""
        return await self._failures.all(dead)

    async def redrive(self, consumer: str, id: str) -> None:
        """Has a dead letter handled anew. Raises NotFound."""
        await self._failures.redrive(consumer, id)
        self._look_again(consumer)

    async def redrive_all(self, consumer: str, name: str) -> int:
        """Has dead letters handled anew: a consumer's or everybody's, of messages of one name or all; how many they were."""
        found = await self._failures.redrive_all(consumer, name)
        if found:
            self._look_again(consumer)
        return found

    def _look_again(self, consumer: str) -> None:
        for running in self.consumers:
            if consumer in ("", running.name):
                running.look_again()

    @property
    def log(self) -> ReadLog:
        return self.store.log

    async def lags(self) -> dict[str, dict[str, int]]:
        """How many rows each consumer has yet to handle, by source."""
        return {consumer.name: await consumer.lag() for consumer in self.consumers}

    async def progress(self) -> Sequence[Progress]:
        found = []
        for consumer in self.consumers:
            lags, positions = await consumer.lag(), await consumer.positions()
            found += [Progress(consumer.name, source, positions.get(source, 0), lag) for source, lag in lags.items()]
        return found

    async def settled(self) -> bool:
        """Whether every consumer has handled all that there is for it at this moment."""
        await self.refresh()
        return not any([any((await consumer.lag()).values()) for consumer in self.consumers])

    async def inspect(self) -> Sequence[Inspected]:
        """Looks at each invariant in turn; one that can't be checked is violated."""
        return [await self._inspector.inspect(invariant) for invariant in self.invariants]

    async def browse(self, stream: str, name: str, before: int, limit: int) -> LogPage:
        """Log rows newest first, behind position `before` (0: from the newest), of one stream and name unless empty.

        Without a stream it looks through 20,000 rows at most, so that a page may be short and yet not the last one."""
        before = before or await self.store.log.head() + 1
        floor = 0 if stream else await self.store.log.floor(before, LOOKED_THROUGH)
        conditions = ["position < :before", "position >= :floor", *(["stream = :stream"] if stream else []), *(["name = :name"] if name else [])]
        rows = await self.store.database.all(
            f"select position, stream, version, name, data, meta, at from log where {' and '.join(conditions)} order by position desc limit :limit",
            before=before, floor=floor, stream=stream, name=name, limit=limit,
        )  # fmt: skip
        onward = rows[-1]["position"] if len(rows) == limit else floor
        return LogPage(tuple(_log_row(self.context, row) for row in rows), onward if onward > 1 else 0)

    async def rows(self, stream: str, after: int, limit: int) -> list[LogRow]:
        """Log rows oldest first: of a stream behind a version; without a stream, behind a position."""
        behind = "stream = :stream and version > :after order by version" if stream else "position > :after order by position"
        rows = await self.store.database.all(
            f"select position, stream, version, name, data, meta, at from log where {behind} limit :limit", stream=stream, after=after, limit=limit
        )
        return [_log_row(self.context, row) for row in rows]

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
            """select id, type, subject, status, deadline from saga
               where deadline is not null and (deadline < :before or status = 'stuck') order by deadline limit 100""",
            before=stamp(before),
        )
        return [OverdueSaga(row["id"], row["type"], row["subject"], row["status"], moment(row["deadline"])) for row in rows]


async def _nothing_to_refresh() -> None:
    """The logs of this process tell of every row at once."""


def _log_row(context: str, row: Row) -> LogRow:
    data, meta = msgspec.Raw(row["data"].encode()), msgspec.json.decode(row["meta"], type=Meta)
    return LogRow(context, row["position"], row["stream"], row["version"], row["name"], moment(row["at"]), data, meta)
