"""The log: a context's append-only table of messages. Event store, outbox, audit trail and embedded bus in one."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from operator import attrgetter

import msgspec

from torg.kit.errors import ConcurrentChange
from torg.kit.messages import Envelope, Message, Meta, Registry, Undecoded, encode
from torg.kit.portions import portions
from torg.kit.sql import Database, Row, SqlTransaction
from torg.kit.sql.dialect import ROWS_OF_A_TRANSACTION
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.sql.port import Reads
from torg.kit.values import moment

KEPT = 2048  # rows held in memory for consumers that are up to date

_COLUMNS = "position, stream, version, name, schema_version, data, meta, at"
_INSERT = """insert into log (stream, version, name, schema_version, data, meta, at)
    values (:stream, (select coalesce(max(version), 0) + 1 from log where stream = :stream), :name, :schema, :data, :meta, :at)
    returning position, version"""
_INSERT_PLACED = """insert into log (position, stream, version, name, schema_version, data, meta, at)
    select {position} + :logged + row.number, :stream, last.version + row.number, row.name, row.schema_version, row.data, :meta, :at
    from unnest(cast(:names as text[]), cast(:schemas as integer[]), cast(:data as text[])) with ordinality as row (name, schema_version, data, number),
        (select coalesce(max(version), 0) as version from log where stream = :stream) as last
    returning position, version"""
_LAST_VERSION = "select max(version) from log where stream = :stream"
_STREAMS = f"select {_COLUMNS} from log where stream in ({{names}}) order by stream, version"
_STREAM = f"select {_COLUMNS} from log where stream = :stream and version > :after order by version"
_TAIL = f"select {_COLUMNS} from log where position > :after and {{settled}} order by position limit :limit"
_HEAD = "select max(position) from log where {settled}"

_position = attrgetter("position")
_meta_of = msgspec.json.Decoder(Meta).decode


class Log:
    """One context's log. A row's id is `context/stream/version`: unique without a draw, and the same when it is delivered again."""

    def __init__(self, context: str, database: Database, registry: Registry) -> None:
        self.context, self._database, self._registry = context, database, registry
        self._recent: list[Envelope] = []
        self._end: int | None = None  # as it was found, where nobody else writes, until rows are added
        self._watchers: list[tuple[Callable[[], None], frozenset[type[Message]]]] = []
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._dialect = database.dialect
        self._tail = _TAIL.format(settled=self._dialect.settled)
        self.reaches, self.shared = 0, database.shared
        if self.shared:
            database.watch(self._heard)

    async def append(self, tx: SqlTransaction, stream: str, messages: Sequence[Message], meta: Meta, at: str, expected: int | None) -> list[Envelope]:
        """Adds rows behind version `expected` (any version when None). Raises ConcurrentChange when the stream stands elsewhere."""
        if expected is not None and expected != (version := await tx.value(_LAST_VERSION, stream=stream) or 0):
            raise ConcurrentChange("stream.changed", f"{stream} is at version {version}, not {expected}: read it again and decide anew")
        kept, when = encode(meta).decode(), moment(at)
        filed = await (self._file_placed if self._dialect.position else self._file)(tx, stream, messages, kept, at)
        return [
            Envelope(position, f"{self.context}/{stream}/{version}", self.context, stream, version, message, meta, when)
            for (position, version), message in zip(filed, messages, strict=True)
        ]

    async def _file(self, tx: SqlTransaction, stream: str, messages: Sequence[Message], meta: str, at: str) -> list[tuple[int, int]]:
        filed = []
        for message in messages:
            row = await tx.one(_INSERT, stream=stream, name=message.NAME, schema=message.VERSION, data=encode(message).decode(), meta=meta, at=at)
            assert row is not None, "an insert that returns gives a row"
            filed.append((row[0], row[1]))
        return filed

    async def _file_placed(self, tx: SqlTransaction, stream: str, messages: Sequence[Message], meta: str, at: str) -> list[tuple[int, int]]:
        """All in one statement, each row's position made of the transaction's own place."""
        rows = await tx.all(
            _INSERT_PLACED.format(position=self._dialect.position), stream=stream, names=[message.NAME for message in messages],
            schemas=[message.VERSION for message in messages], data=[encode(message).decode() for message in messages], meta=meta, at=at, logged=tx.logged,
        )  # fmt: skip
        tx.logged += len(rows)
        assert tx.logged < ROWS_OF_A_TRANSACTION, "one transaction adds more rows to the log than its positions can tell apart"
        return sorted((row[0], row[1]) for row in rows)

    async def stream(self, stream: str, after: int = 0, reads: Reads | None = None) -> list[Envelope]:
        """A stream's rows in order; pass the transaction to see what it wrote itself."""
        return [self._envelope(row) for row in await (reads or self._database).all(_STREAM, stream=stream, after=after)]

    async def streams(self, streams: Iterable[str]) -> dict[str, list[Envelope]]:
        """Each stream's rows in order, of several at once; of those that have some."""
        found: dict[str, list[Envelope]] = {}
        for some in portions(streams, AT_ONCE):
            names, wanted = listed(some)
            for row in await self._database.all(_STREAMS.format(names=names), **wanted):
                found.setdefault(row["stream"], []).append(self._envelope(row))
        return found

    async def last_version(self, stream: str) -> int:
        """The newest committed version of a stream, 0 for an empty one."""
        return await self._database.value(_LAST_VERSION, stream=stream) or 0

    async def tail(self, after: int, limit: int) -> Sequence[Envelope]:
        """Committed rows behind a position, oldest first: from memory when the reader is up to date, else from the table.

        Where others write as well, only those rows before which no other can appear any more: `reaches` tells what there is besides."""
        recent = self._recent
        if recent and recent[0].position <= after + 1:
            start = bisect_right(recent, after, key=_position)
            return recent[start : start + limit]
        if not self.shared and after >= await self.head():
            return []
        return [self._envelope(row) for row in await self._database.all(self._tail, after=after, limit=limit)]

    async def undecoded(self, after: int, limit: int) -> Sequence[Envelope]:
        """As `tail`, with messages as they are kept: to be handed on whole, with fields that only a newer version knows."""
        rows = await self._database.all(self._tail, after=after, limit=limit)
        return [self._envelope(row, Undecoded(row["name"], row["schema_version"], row["data"])) for row in rows]

    async def count(self, kinds: Collection[type[Message]], after: int, limit: int) -> int:
        """How many of the `limit` rows behind a position are of these kinds."""
        if self._recent and self._recent[-1].position <= after:
            return 0
        names, wanted = listed(kind.NAME for kind in kinds)
        counted: int = await self._database.value(
            f"select count(*) from (select name from log where position > :after order by position limit :limit) as part where name in ({names})",
            after=after, limit=limit, **wanted,
        )  # fmt: skip
        return counted

    async def step(self, after: int, rows: int, until: int) -> int:
        """The position of the last of so many rows behind `after`, `until` at most: where a reader that takes a log in slices may go to next."""
        last: int | None = await self._database.value(
            "select max(position) from (select position from log where position > :after and position <= :until order by position limit :rows) as part",
            after=after, until=until, rows=rows,
        )  # fmt: skip
        return until if last is None else last

    async def named(self, kinds: Collection[type[Message]], after: int, until: int) -> list[Envelope]:
        """Committed rows of these kinds behind `after`, up to and including `until`, oldest first."""
        recent = self._recent
        if recent and recent[0].position <= after + 1:
            start, end = bisect_right(recent, after, key=_position), bisect_right(recent, until, key=_position)
            return [row for row in recent[start:end] if type(row.message) in kinds]
        names, wanted = listed(kind.NAME for kind in kinds)
        rows = await self._database.all(
            f"select {_COLUMNS} from log where position > :after and position <= :until and name in ({names}) order by position",
            after=after,
            until=until,
            **wanted,
        )
        return [self._envelope(row) for row in rows]

    async def lately(self, rows: int) -> list[str]:
        """The streams of the newest so many rows, each once, newest first."""
        found = await self._database.all("select stream from log order by position desc limit :rows", rows=rows)
        return list(dict.fromkeys(row["stream"] for row in found))

    async def floor(self, before: int, rows: int) -> int:
        """The position of the last of so many rows in front of `before`, looking back; 0 where there are fewer."""
        found: int | None = await self._database.value(
            "select position from log where position < :before order by position desc limit 1 offset :skipped", before=before, skipped=rows - 1
        )
        return found or 0

    async def head(self) -> int:
        """The newest committed position, 0 for an empty log."""
        if self._recent:
            return self._recent[-1].position
        if self._end is None or self.shared:
            self._end = await self._database.value(_HEAD.format(settled=self._dialect.settled)) or 0
        return self._end

    def watch(self, wake: Callable[[], None], kinds: Collection[type[Message]]) -> None:
        """Has `wake` called after each commit that added rows of these kinds; it must not block."""
        self._watchers.append((wake, frozenset(kinds)))

    def unwatch(self, wake: Callable[[], None]) -> None:
        """Ends what `watch` began; takes the very same function."""
        self._watchers = [watcher for watcher in self._watchers if watcher[0] != wake]

    async def follow(self, stream: str, after: int) -> AsyncIterator[Envelope]:
        """A stream's rows behind a version, and then each new one as it comes; ends only with its reader."""
        grown = asyncio.Event()
        followers = self._followers.setdefault(stream, set())
        followers.add(grown)
        try:
            while True:
                grown.clear()
                for row in await self.stream(stream, after):
                    after = row.version
                    yield row
                await grown.wait()
        finally:
            followers.discard(grown)
            if not followers:
                self._followers.pop(stream, None)

    async def redact(self, tx: SqlTransaction, stream: str, change: Callable[[Message], Message]) -> None:
        """Rewrites a stream's messages in place: the one exception to append-only, for the erasure of personal data."""
        for row in await self.stream(stream, reads=tx):
            changed = change(row.message)
            if changed != row.message:
                await tx.execute("update log set data = :data where position = :position", data=encode(changed).decode(), position=row.position)
        tx.after_commit(partial(self._redact_recent, stream, change))

    def _redact_recent(self, stream: str, change: Callable[[Message], Message]) -> None:
        self._recent = [msgspec.structs.replace(row, message=change(row.message)) if row.stream == stream else row for row in self._recent]

    def publish(self, rows: list[Envelope]) -> None:
        """Tells that these rows are durable now, in the order of their positions."""
        if self.shared:
            self.reaches = max(self.reaches, rows[-1].position)
            self._database.tell(rows[-1].position)
        else:
            self._recent.extend(rows)
            if len(self._recent) > KEPT:
                del self._recent[: KEPT // 2]
        if self._followers:
            for follower in (f for row in rows for f in self._followers.get(row.stream, ())):
                follower.set()
        kinds = {type(row.message) for row in rows}
        for wake, wanted in self._watchers:
            if not wanted.isdisjoint(kinds):
                wake()

    def _heard(self, position: int) -> None:
        """Another process has added rows: which, nobody here knows yet."""
        self.reaches = max(self.reaches, position)
        for follower in (f for followers in self._followers.values() for f in followers):
            follower.set()
        for wake, _ in self._watchers:
            wake()

    def _envelope(self, row: Row, message: Message | None = None) -> Envelope:
        position, stream, version, name, schema, data, meta, at = row
        message = message or self._message(name, schema, data)
        return Envelope(position, f"{self.context}/{stream}/{version}", self.context, stream, version, message, _meta_of(meta), moment(at))

    def _message(self, name: str, schema: int, data: str) -> Message:
        if self._registry.find(name) is None:
            return Undecoded(name, schema, data)
        return self._registry.decode(name, data)


async def positions(logs: Sequence[Log]) -> dict[str, int]:
    """Where each log stands: the cut at which a copy of several contexts fits together."""
    return {log.context: await log.head() for log in logs}
