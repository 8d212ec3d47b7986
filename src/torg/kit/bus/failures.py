"""What a consumer could not handle: tried again with growing pauses, and after the last try kept as a dead letter until somebody redrives it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

import msgspec

from torg.kit.errors import NotFound
from torg.kit.messages import Envelope, Meta, Registry, encode
from torg.kit.scrubbing import clean
from torg.kit.sql import Row
from torg.kit.sql.parts import where
from torg.kit.store import Store, Transaction
from torg.kit.values import moment, stamp

TRIES = 8
FIRST_PAUSE = timedelta(milliseconds=50)
LONGEST_PAUSE = FIRST_PAUSE * 2**TRIES
TAKEN_UP = 1000  # waiting rows looked at together


class FailedMessage(msgspec.Struct, frozen=True):
    """A row that a consumer failed on, as operators see it."""

    id: str
    consumer: str
    source: str
    name: str
    stream: str
    attempts: int
    error: str
    next_at: datetime
    dead: bool


class _Kept(msgspec.Struct, frozen=True):
    version: int
    data: msgspec.Raw
    meta: Meta
    at: datetime


class Failures:
    """The table of failed messages in a consumer's own store."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store, self._registry = store, registry

    async def keep(self, tx: Transaction, consumer: str, row: Envelope, error: str, attempts: int) -> None:
        """Parks a row; `attempts` 0 means that it only waits behind an earlier row of its stream."""
        now = self._store.clock()
        pause = FIRST_PAUSE * 2 ** max(attempts - 1, 0)
        kept = _Kept(row.version, msgspec.Raw(encode(row.message)), row.meta, row.at)
        await tx.execute(
            """insert into failed_message (consumer, id, source, position, stream, envelope, name, attempts, error, next_at, dead)
               values (:consumer, :id, :source, :position, :stream, :envelope, :name, :attempts, :error, :next_at, :dead)
               on conflict (consumer, id) do update set attempts = excluded.attempts, error = excluded.error,
                   next_at = excluded.next_at, dead = excluded.dead""",
            consumer=consumer, id=row.id, source=row.context, position=row.position, stream=row.stream, envelope=encode(kept).decode(),
            name=row.message.NAME, attempts=attempts, error=clean(error), next_at=stamp(now + pause), dead=int(attempts >= TRIES),
        )  # fmt: skip

    async def forget(self, tx: Transaction, consumer: str, id: str) -> None:
        await tx.execute("delete from failed_message where consumer = :consumer and id = :id", consumer=consumer, id=id)

    async def parked_streams(self, consumer: str) -> set[tuple[str, str]]:
        """(source, stream) pairs whose later rows must wait, so that a stream stays in order."""
        rows = await self._store.database.all("select distinct source, stream from failed_message where consumer = :consumer and dead = 0", consumer=consumer)
        return {(row["source"], row["stream"]) for row in rows}

    async def due(self, consumer: str) -> list[list[tuple[Envelope, int]]]:
        """Of each parked stream whose oldest row's pause is over the rows in their order, with the tries they have had; a thousand rows at most. A pause
        that is longer than any is over as well: the clock was set back."""
        now = self._store.clock()
        rows = await self._store.database.all(
            "select * from failed_message where consumer = :consumer and dead = 0 order by position limit :limit", consumer=consumer, limit=TAKEN_UP
        )
        streams: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            streams.setdefault((row["source"], row["stream"]), []).append(row)
        at, latest = stamp(now), stamp(now + LONGEST_PAUSE)
        ready = (stream for stream in streams.values() if not at < stream[0]["next_at"] <= latest)
        return [[(self._envelope(row), row["attempts"]) for row in stream] for stream in ready]

    async def all(self, dead: bool | None = None) -> Sequence[FailedMessage]:
        """What has failed in this store, newest first."""
        rows = await self._store.database.all("select * from failed_message where dead = :dead or :dead is null order by next_at desc limit 1000", dead=dead)
        return [
            FailedMessage(r["id"], r["consumer"], r["source"], r["name"], r["stream"], r["attempts"], r["error"], moment(r["next_at"]), bool(r["dead"]))
            for r in rows
        ]

    async def redrive(self, consumer: str, id: str) -> None:
        """Has a dead letter tried anew, from the first try. Raises NotFound."""
        if not await self._store.undisturbed(partial(self._revive, consumer, id), "redrive"):
            raise NotFound("dead_letter.not_found", f"{consumer} has no dead letter {id!r}")

    async def _revive(self, consumer: str, id: str) -> int:
        async with self._store.transaction() as tx:
            return await tx.execute(
                "update failed_message set dead = 0, attempts = 0, next_at = :now where consumer = :consumer and id = :id and dead = 1",
                consumer=consumer, id=id, now=stamp(self._store.clock()),
            )  # fmt: skip

    async def redrive_all(self, consumer: str, name: str) -> int:
        """Has all dead letters of a consumer, of messages of a name, or of both, tried anew; how many there were."""
        return await self._store.undisturbed(partial(self._revive_all, consumer, name), "redrive")

    async def _revive_all(self, consumer: str, name: str) -> int:
        condition = where(("consumer = :consumer", consumer), ("name = :name", name))
        async with self._store.transaction() as tx:
            return await tx.execute(
                f"update failed_message set dead = 0, attempts = 0, next_at = :now where dead = 1 and {condition}",
                consumer=consumer, name=name, now=stamp(self._store.clock()),
            )  # fmt: skip

    def _envelope(self, row: Row) -> Envelope:
        kept = msgspec.json.decode(row["envelope"], type=_Kept)
        message = self._registry.decode(row["name"], bytes(kept.data))
        return Envelope(row["position"], row["id"], row["source"], row["stream"], kept.version, message, kept.meta, kept.at)
