"""A consumer's supply from Kafka's topics. The positions in the consumer's own store are the truth; what Kafka knows of the group is for onlookers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from typing import Any

from torg.kit import telemetry
from torg.kit.bus.feed import Batch, Positions
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_member import Member
from torg.kit.bus.kafka_wire import topic
from torg.kit.errors import Unavailable
from torg.kit.messages import Message, Registry

LOOK = 2.0
"""Seconds that the thread waits for rows before it asks whether anybody still wants them."""
LONG_AWAY = 20.0
"""Seconds without any broker until the client is made anew."""
STORE_AGAIN = 0.5  # seconds between two tries to read positions from a store that is away


class KafkaFeed:
    """Implements Feed as a member of the group torg.<consumer name>, over the topics of the contexts named.

    Positions are filed under "<context>/<partition>" as the offset to go on with. One that ends in order leaves its partitions to the others. With an
    `instance` (stable for a process, unlike any other's of the group) a process that was killed and is started again within the session's twenty seconds gets
    the partitions it had at once. Without one they wander to other instances, when the session is over."""

    def __init__(self, kafka: Kafka, consumer: str, contexts: Collection[str], registry: Registry, instance: str = "", long_away: float = LONG_AWAY) -> None:
        self._long_away = long_away
        self._kafka, self._name, self._contexts = kafka, consumer, sorted(contexts)
        self._registry, self._instance = registry, instance
        self._member: Member | None = None
        self._job: asyncio.Future[None] | None = None
        self._staying: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._closing = False
        self._ends: dict[tuple[str, int], int] = {}
        self._away_since: float | None = None

    async def open(self, kinds: Collection[type[Message]], positions: Positions) -> None:
        loop = asyncio.get_running_loop()
        self._closing, self._asked = False, (kinds, positions)
        self._thread = ThreadPoolExecutor(1, f"kafka {self._name}")

        def stored() -> Mapping[str, int]:
            while not self._closing:
                asked: Future[Mapping[str, int]] = asyncio.run_coroutine_threadsafe(_read(positions), loop)
                found = self._wait_for(asked)
                if found is not None:
                    return found
            raise Unavailable(f"{self._name} is closing")

        topics = [topic(context) for context in self._contexts]
        self._member = Member(self._kafka, self._name, topics, self._instance, kinds, self._registry, stored)

    async def take(self, seconds: float | None) -> list[Batch]:
        member = self._opened()
        await self._stop_staying(member)
        try:
            fetched = await self._fetched(member, seconds)
        except Unavailable:
            await self._try_another_client()
            raise
        if not fetched:
            return []
        self._away_since = None
        batches = member.batches()
        if batches:
            self._staying = asyncio.create_task(self._stay(member))
        return batches

    def took(self, batch: Batch) -> None:
        for source in self._opened().sources.values():
            source.took(batch)

    async def again(self) -> None:
        member = self._opened()
        await self._stop_staying(member)
        await self._interrupt(member)
        member.rewind()

    def wake(self) -> None:
        self._woken.set()

    def reassigned(self) -> bool:
        member = self._opened()
        changed, member.reassigned = member.reassigned, False
        return changed

    async def lag(self) -> dict[str, int]:
        """Records of each partition that this instance has and that have yet to take effect, of whatever kind. Until the group has told this instance which
        are its own, one of each context, since nobody knows. While no broker answers, what was known last."""
        member = self._member
        if member is None or not member.met:
            return dict.fromkeys(self._contexts, 1)
        sources = {(source.topic, source.partition): source for source in tuple(member.sources.values())}
        try:
            self._ends = self._ends if member.away else await self._kafka.ends(sources.keys())
        except Unavailable as away:
            telemetry.log.debug("the lag is what was known last", consumer=self._name, reason=away.detail)
        return {source.name: max(self._ends.get(at, 0) - source.done(), 0) for at, source in sources.items()}

    async def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        member, self._member = self._member, None
        if member is None:
            return
        self._closing = True
        self._woken.set()
        await self._stop_staying(member)
        await self._interrupt(member)
        await asyncio.get_running_loop().run_in_executor(self._thread, member.close)
        self._thread.shutdown(wait=False)

    # ---------------------------------------------------------------- the thread's turns

    async def _try_another_client(self) -> None:
        """One that has found no broker for long begins anew: seen in a fleet, a client that went on looking in vain beside one that was just made."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since >= self._long_away and not self._closing:
            telemetry.log.warning("a consumer asks Kafka with a new client", consumer=self._name, seconds=round(now - self._away_since))
            self._away_since = now
            await self.close()
            await self.open(*self._asked)

    def _opened(self) -> Member:
        assert self._member is not None, "a feed is opened first"
        return self._member

    async def _fetched(self, member: Member, seconds: float | None) -> bool:
        """Whether the thread has come to something; what it fetches when nobody waits any more stays for the next time."""
        loop = asyncio.get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        waking = asyncio.create_task(self._woken.wait())
        try:
            while True:
                self._job = self._job or loop.run_in_executor(self._thread, member.fetch, LOOK)
                left = None if until is None else max(until - loop.time(), 0)
                waiting: set[asyncio.Future[Any]] = {self._job, waking}
                await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                if self._job.done():
                    fetched, self._job = self._job, None
                    fetched.result()
                    if member.something_ready():
                        return True
                if self._woken.is_set() or left == 0:
                    return False
        finally:
            waking.cancel()
            self._woken.clear()

    async def _interrupt(self, member: Member) -> None:
        """Has the thread come back from what it does, whatever came of that."""
        if self._job:
            member.wanted_elsewhere = True
            await asyncio.wait({self._job})
            job, self._job, member.wanted_elsewhere = self._job, None, False
            if error := job.exception():
                telemetry.log.debug("what was fetched comes again", consumer=self._name, reason=repr(error))

    async def _stay(self, member: Member) -> None:
        """While a batch is handled for long."""
        while True:
            await asyncio.sleep(member.patience)
            self._job = asyncio.get_running_loop().run_in_executor(self._thread, member.stay)
            await asyncio.wait({self._job})
            if error := self._job.exception():
                telemetry.log.warning("a consumer could not show its group that it lives", consumer=self._name, reason=repr(error))
            self._job = None

    async def _stop_staying(self, member: Member) -> None:
        staying, self._staying = self._staying, None
        if staying:
            staying.cancel()
            await asyncio.wait({staying})
            await self._interrupt(member)

    def _wait_for(self, asked: Future[Mapping[str, int]]) -> Mapping[str, int] | None:
        """In the thread: the store's answer, or None when it has to be asked again."""
        while not self._closing:
            try:
                return asked.result(timeout=STORE_AGAIN)
            except Late:
                continue
            except Unavailable as away:
                telemetry.log.warning("a consumer's store is away", consumer=self._name, detail=away.detail)
                time.sleep(STORE_AGAIN)
                return None
        asked.cancel()
        return None


async def _read(positions: Positions) -> Mapping[str, int]:
    return await positions()
