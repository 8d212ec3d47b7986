"""Answers kept at the edge by several instances: each holds those it was asked for, and all share them by Redis.

A purge gives its tags new versions and tells every instance; an answer counts only with the versions of its tags that held before it was made. So a stale one
ends at once where the message comes through, after HELD seconds where it was missed, and after its own time where whoever purged can't reach Redis."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from dataclasses import replace
from typing import Final

import msgspec

from torg.kit.errors import Unavailable
from torg.kit.http.cache import Flight, Keeping, Kept, Key, Make, ResponseCache
from torg.kit.redis import Key as RedisKey
from torg.kit.redis import Redis, Script, key
from torg.kit.telemetry import log
from torg.kit.values import NewId

OWNER: Final = "edge"
CHANNEL: Final = "edge.purged"
HELD: Final = 5.0  # seconds that an answer from Redis is believed without asking again
ALONE: Final = 1.0  # … and any answer while purges are not heard
MAKING: Final = 3.0  # seconds that one instance has for making an answer while the others wait for it
LOOK: Final = 0.02  # seconds between two looks of those who wait
LONGEST: Final = 3600.0  # seconds in Redis, whatever the route says
VERSIONED: Final = 2 * LONGEST  # so long a tag's version is known: longer than any answer made under the one before
LARGEST: Final = 256 << 10  # bytes of an answer that is shared

ASK = Script("""
    local versions = {}
    for at = 3, #KEYS do versions[#versions + 1] = redis.call('GET', KEYS[at]) or '' end
    local now = table.concat(versions, ' ')
    local made, answer = unpack(redis.call('HMGET', KEYS[1], 'versions', 'answer'))
    if made == now then return {now, answer, redis.call('PTTL', KEYS[1])} end
    if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[2]) == ARGV[1] then return {now, false, 1} end
    return {now, false, 0}""")
"""The tags' versions, and the answer with its time left; or whether whoever asks is to make it."""
GIVE = Script("""
    if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('UNLINK', KEYS[2]) end
    local versions = {}
    for at = 3, #KEYS do versions[#versions + 1] = redis.call('GET', KEYS[at]) or '' end
    if table.concat(versions, ' ') ~= ARGV[2] then return 0 end
    if ARGV[3] ~= '' then
        redis.call('HSET', KEYS[1], 'versions', ARGV[2], 'answer', ARGV[3])
        redis.call('PEXPIRE', KEYS[1], ARGV[4])
    end
    return 1""")
"""Ends the making; 0 where a tag was purged meanwhile."""
PURGE = Script("""
    for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
    redis.call('PUBLISH', ARGV[3], ARGV[4])""")

_packed = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder(tuple[list[tuple[bytes, bytes]], bytes, bytes]).decode
_tags = msgspec.json.Decoder(list[str]).decode


class Allowance:
    """What one process may have in Redis at a time: so many `room` bytes, in pieces up to `largest`. What it holds of the others' is theirs to count."""

    def __init__(self, room: int, largest: int) -> None:
        self._room, self._largest = room, largest
        self._taken = deque[tuple[float, int]]()

    def fits(self, size: int, seconds: float) -> bool:
        """Whether there is room for it, which it then has for so long."""
        now = time.monotonic()
        while self._taken and self._taken[0][0] < now:
            self._room += self._taken.popleft()[1]
        if not 0 < size <= min(self._largest, self._room):
            return False
        self._taken.append((now + seconds, size))
        self._room -= size
        return True


class SharedResponseCache(ResponseCache):
    """As ResponseCache, for all instances of a kind of process: `name` tells apart those that answer one address differently. Have `settle` run."""

    def __init__(self, redis: Redis, name: str, new_id: NewId, size: int = 4096, room: int = 64 << 20, shared: int = 32 << 20) -> None:
        """`shared` bytes of its making may be in Redis at a time."""
        super().__init__(size, room)
        self._redis, self._name, self._new_id = redis, name, new_id
        self._allowance = Allowance(shared, LARGEST)
        self._unsettled: set[str] = set()
        self._settling: set[str] = set()
        self._purged = asyncio.Event()
        redis.hear(CHANNEL, self._heard, self.clear)

    def purge(self, *tags: str) -> None:
        super().purge(*tags)
        self._unsettled.update(tags)
        self._purged.set()

    async def settle(self) -> None:
        """Tells the others what was purged here, for as long as the process lives; what could not be told is told later."""
        while True:
            await self._purged.wait()
            self._purged.clear()
            self._settling, self._unsettled = self._unsettled, set()
            try:
                await self._tell(self._settling)
                self._settling = set()
            except Unavailable as away:
                log.warning("purged answers may still be given elsewhere", tags=len(self._settling), detail=away.detail)
                self._unsettled |= self._settling
                self._purged.set()
                await asyncio.sleep(away.retry_after / 2)

    async def _tell(self, tags: set[str]) -> None:
        words = self._new_id(), int(VERSIONED * 1000), self._redis.channel(CHANNEL), msgspec.json.encode(sorted(tags))
        await self._redis.run(PURGE, [_tag(tag) for tag in sorted(tags)], *words)

    def _heard(self, message: bytes) -> None:
        super().purge(*_tags(message))

    async def _obtain(self, key: Key, keeping: Keeping, make: Make, flight: Flight) -> Kept | None:
        if not (self._unsettled | self._settling).isdisjoint(keeping.tags):  # purged here, and Redis has yet to hear of it
            return await make()
        try:
            kept = await self._share(key, keeping, make)
        except Unavailable:
            kept = self._believed(await make(), ALONE)
        if kept is not None and not flight.purged:
            self.put(key, kept, keeping.tags)
        return kept

    async def _share(self, key: Key, keeping: Keeping, make: Make) -> Kept | None:
        """The answer that Redis has, or gets, for as long as it may be held here. Raises Unavailable before anything is made."""
        names, me = self._names(key, keeping), self._new_id()
        versions, kept = await self._ask(names, me, keeping)
        if kept is not None:
            return self._believed(kept, HELD)
        kept = await make()
        return self._believed(kept, ALONE if versions is None else await self._give(names, me, versions, kept, keeping))

    async def _ask(self, names: list[RedisKey], me: str, keeping: Keeping) -> tuple[bytes | None, Kept | None]:
        """The versions to make it under, None where somebody else has made it or takes too long; the answer, where there is one."""
        deadline = time.monotonic() + MAKING
        while True:
            versions, answer, left = await self._redis.run(ASK, names, me, int(MAKING * 1000))
            if answer is not None:
                headers, etag, body = _unpacked(answer)
                return None, Kept(body, headers, etag, time.monotonic() + left / 1000, keeping.stats)
            if left:
                return versions, None
            if time.monotonic() > deadline:
                return None, None
            await asyncio.sleep(LOOK)

    async def _give(self, names: list[RedisKey], me: str, versions: bytes, kept: Kept | None, keeping: Keeping) -> float:
        """Lets the others have it; the seconds for which it may be held here: none, where it was purged while it was being made."""
        seconds = min(keeping.seconds, LONGEST)
        answer = _packed((kept.headers, kept.etag, kept.body)) if kept else b""
        given = answer if self._allowance.fits(len(answer), seconds) else b""
        try:
            holds = await self._redis.run(GIVE, names, me, versions, given, int(seconds * 1000))
        except Unavailable:
            return ALONE
        return HELD if holds else 0

    def _believed(self, kept: Kept | None, seconds: float) -> Kept | None:
        if kept is None:
            return None
        return replace(kept, until=min(kept.until, time.monotonic() + (seconds if self._redis.listening else min(seconds, ALONE))))

    def _names(self, asked: Key, keeping: Keeping) -> list[RedisKey]:
        digest = hashlib.blake2b(repr(asked).encode(), digest_size=16).hexdigest()
        return [key(OWNER, "answer", self._name, digest), key(OWNER, "making", self._name, digest), *map(_tag, keeping.tags)]


def _tag(name: str) -> RedisKey:
    return key(OWNER, "tag", name)
