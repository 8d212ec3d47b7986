"""Tells one context's log to Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from torg.kit import telemetry
from torg.kit.bus.feed import Batch
from torg.kit.bus.kafka_producer import NotSent
from torg.kit.bus.kafka_wire import Record, record
from torg.kit.bus.log_feed import LogFeed
from torg.kit.errors import Unavailable
from torg.kit.failpoints import reached
from torg.kit.log import Log
from torg.kit.messages import Registry
from torg.kit.store import Store

NAME = "relay"
LEASE = 9.0  # seconds that another instance waits for this one; asked for again after a third of it
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0  # seconds between two tries while Kafka is away


class Sends(Protocol):
    """Sends records in order, returns once all of them are safe, raises NotSent otherwise."""

    async def send(self, records: list[Record]) -> None: ...


class _Kept:
    """A log's rows as they are kept: what is sent is what was written, whichever version wrote it."""

    def __init__(self, log: Log) -> None:
        self.tail, self.count, self.watch, self.unwatch = log.undecoded, log.count, log.watch, log.unwatch
        self._log, self.shared = log, log.shared

    @property
    def reaches(self) -> int:
        return self._log.reaches


class Relay:
    """Sends each row of a log to torg.<context>, in the log's order, and files its position once Kafka has acknowledged it: at least once, nothing skipped.

    Of several instances one sends (a lease). A zombie that goes on beside its successor may repeat rows but cannot change the order in which a stream's rows
    appear first: each of the two sends a stream's rows one after the other to one partition, without holes, from a row before which everything was
    acknowledged already, as positions are filed after the acknowledgement. So whoever is first to send a row has sent the one before it, or found it there.

    A record that is too large (more than a megabyte with its headers) stops the relay, loudly: what is behind it must not overtake it."""

    name = NAME

    def __init__(self, store: Store, producer: Sends, registry: Registry) -> None:
        self._store, self._producer, self._registry = store, producer, registry
        self._feed = LogFeed({store.context: _Kept(store.log)}, looks=store.database.shared)
        self._stuck = ""

    async def run(self) -> None:
        """Follows the log until cancelled."""
        try:
            await self._feed.open(tuple(self._registry.types()), self.positions)
            await self._follow()
        finally:
            await self._feed.close()

    async def check(self) -> str:
        """For /ready: which row keeps all behind it from being sent, or an empty text. That Kafka is away is none of it: the shop goes on meanwhile."""
        return self._stuck

    async def lag(self) -> dict[str, int]:
        """Rows that are still to be sent, whichever instance sends (among the next 10,000)."""
        context, log = self._store.context, self._store.log
        return {context: await log.count(tuple(self._registry.types()), (await self.positions())[context], 10_000)}

    def look_again(self) -> None:
        """It keeps nothing for later."""

    async def _follow(self) -> None:
        pause, asked, mine = FIRST_PAUSE, 0.0, False
        now = asyncio.get_running_loop().time
        while True:
            try:
                if now() >= asked + LEASE / 3:
                    held, asked = mine, now()
                    mine = await self._store.database.lease(NAME, LEASE)
                    if mine and not held:
                        await self._feed.again()
                if mine:
                    await self._round()
                else:
                    await asyncio.sleep(LEASE / 3)
                pause, self._stuck = FIRST_PAUSE, ""
            except Unavailable as away:
                self._complain(away, pause)
                await asyncio.sleep(pause)
                pause, asked, mine = min(pause * 2, LONGEST_PAUSE), 0.0, False

    async def _round(self) -> None:
        batches = await self._feed.take(LEASE / 3)
        for batch in batches:
            await self._send(batch)
            self._feed.took(batch)
        if not batches:
            telemetry.LAG.labels(NAME, self._store.context).set(0)

    async def _send(self, batch: Batch) -> None:
        reached("before publish")
        try:
            await self._producer.send([record(row) for row in batch.rows])
        except NotSent as refused:
            if refused.sent:
                await self._file(batch.rows[refused.sent - 1].position)
            telemetry.LAG.labels(NAME, self._store.context).set((await self.lag())[self._store.context])
            raise
        reached("after publish")
        await self._file(batch.position)

    def _complain(self, away: Unavailable, pause: float) -> None:
        if isinstance(away, NotSent) and away.too_large:
            self._stuck = away.detail
            telemetry.log.error("a row cannot be sent, and nothing behind it is", context=self._store.context, detail=away.detail)
        else:
            telemetry.log.warning("a log cannot be sent", context=self._store.context, detail=away.detail, seconds=pause)

    async def positions(self) -> Mapping[str, int]:
        """How far the log was sent and acknowledged."""
        filed = await self._store.database.value("select position from consumer_position where consumer = :name", name=NAME)
        return {self._store.context: filed or 0}

    async def _file(self, position: int) -> None:
        """Never goes back: a zombie may come later with less."""
        async with self._store.transaction() as tx:
            await tx.execute(
                """insert into consumer_position (consumer, source, position) values (:name, :source, :position)
                   on conflict (consumer, source) do update set position = excluded.position where consumer_position.position < excluded.position""",
                name=NAME, source=self._store.context, position=position,
            )  # fmt: skip
