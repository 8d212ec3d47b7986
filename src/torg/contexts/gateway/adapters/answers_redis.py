"""Kept answers of all gateways: each holds what it was asked for, and what one has made the others find in Redis.

Purges have numbers that grow with Redis's clock. An answer stands there with the number that held before it was asked for, and counts while none of its tags
has a later one. Every gateway hears of changes by itself, and takes from Redis nothing that was made before one that it has heard of."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec

from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.model.keeping import SETTLING, Kept, Key
from torg.contexts.gateway.ports import Mark
from torg.kit.errors import Unavailable
from torg.kit.http.shared_cache import Allowance
from torg.kit.redis import Key as RedisKey
from torg.kit.redis import Redis, Script, key
from torg.kit.telemetry import log

OWNER: Final = "edge"
LONGEST: Final = 3600.0  # seconds that an answer is in Redis
KNOWN: Final = 2 * LONGEST  # … and the number of a purge: longer than any answer of before it
LARGEST: Final = 256 << 10  # bytes of an answer that is shared
SHARED: Final = 32 << 20  # bytes of what this gateway has made that may be in Redis at a time
AT_ONCE: Final = 1000  # tags that are told in one step
TURNS: Final = key(OWNER, "kept-turns")
TAG: Final = key(OWNER, "kept-tag", "")

_NOW: Final = "local now = redis.call('TIME') local time = string.format('%d%06d', now[1], now[2]) "
SEEK: Final = Script(
    _NOW
    + """
    local turn = redis.call('HGET', KEYS[2], 'turn')
    if not turn then
        turn = time
        redis.call('HSET', KEYS[2], 'born', time, 'turn', time)
        redis.call('PEXPIRE', KEYS[2], ARGV[2])
    end
    local answer, since, tags, made = unpack(redis.call('HMGET', KEYS[1], 'answer', 'since', 'tags', 'made'))
    if not answer then return {turn, false, 0} end
    for tag in string.gmatch(tags, '%S+') do
        if tonumber(redis.call('GET', ARGV[1] .. tag) or '0') > tonumber(since) then return {turn, false, 0} end
    end
    return {turn, answer, math.max(math.floor((tonumber(time) - tonumber(made)) / 1000), 0)}"""
)
"""The number of the last purge; and the answer with its age, where no tag was purged since."""
GIVE: Final = Script(
    _NOW
    + """
    local born, turn = unpack(redis.call('HMGET', KEYS[2], 'born', 'turn'))
    local since = tonumber(ARGV[2])
    if not turn or tonumber(turn) < since or tonumber(born) > since then return 0 end
    for tag in string.gmatch(ARGV[3], '%S+') do
        local purged = tonumber(redis.call('GET', ARGV[1] .. tag) or '0')
        if purged > since or tonumber(time) - purged < tonumber(ARGV[6]) then return 0 end
    end
    redis.call('HSET', KEYS[1], 'answer', ARGV[4], 'since', ARGV[2], 'tags', ARGV[3], 'made', tonumber(time) - tonumber(ARGV[7]))
    redis.call('PEXPIRE', KEYS[1], ARGV[5])
    return 1"""
)
"""Lets the others have an answer, unless one of its tags was purged since it was asked for, or a moment before; or Redis has forgotten what was purged."""
PURGE: Final = Script(
    _NOW
    + """
    local turn = redis.call('HGET', KEYS[1], 'turn')
    if not turn then redis.call('HSET', KEYS[1], 'born', time) end
    if turn and tonumber(turn) >= tonumber(time) then time = string.format('%.0f', tonumber(turn) + 1) end
    redis.call('HSET', KEYS[1], 'turn', time)
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    for at = 3, #ARGV do redis.call('SET', ARGV[1] .. ARGV[at], time, 'PX', ARGV[2]) end"""
)

_packed = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder(tuple[list[tuple[bytes, bytes]], bytes, bytes, list[str], float, float, float, bool]).decode


class RedisAnswers(MemoryAnswers):
    """Implements Answers. While Redis is away each gateway has its own. Have `settle` run."""

    def __init__(self, redis: Redis, room: int, now: Callable[[], float] | None = None) -> None:
        super().__init__(room, now)
        self._redis, self._allowance = redis, Allowance(SHARED, LARGEST)
        self._owed: set[str] = set()
        self._owing = asyncio.Event()

    async def seek(self, key: Key) -> tuple[Kept | None, Mark]:
        mark = self.now()
        try:
            turn, answer, age = await self._redis.run(SEEK, [_name(key), TURNS], TAG, _milliseconds(KNOWN))
        except Unavailable:
            return None, mark
        mark = replace(mark, shared=turn)
        if answer is None:
            return None, mark
        kept = _read(answer, mark.at - age / 1000)
        if kept.fresh <= mark.at or self.purged_after(kept.tags, kept.made - SETTLING):
            return None, mark
        return kept if await super().keep(key, kept, mark) else None, mark

    async def keep(self, key: Key, kept: Kept, since: Mark) -> bool:
        stored = await super().keep(key, kept, since)
        seconds = min(kept.away - since.at, LONGEST)
        answer = _packed((kept.headers, kept.body, kept.etag, kept.tags, kept.fresh - kept.made, kept.stale - kept.made, kept.away - kept.made, kept.cookies))
        if stored and since.shared and not self._owed.intersection(kept.tags) and self._allowance.fits(len(answer), seconds):
            age = int(max(self.now().at - kept.made, 0) * 1_000_000)
            words = TAG, since.shared, " ".join(kept.tags), answer, _milliseconds(seconds), int(SETTLING * 1_000_000), age
            try:
                await self._redis.run(GIVE, [_name(key), TURNS], *words)
            except Unavailable as away:
                log.debug("a kept answer is not shared", detail=away.detail)
        return stored

    def purge(self, *tags: str) -> None:
        super().purge(*tags)
        self._owed.update(tags)
        self._owing.set()

    async def settle(self) -> None:
        """What could not be told is told later; this gateway itself goes by what it has heard."""
        while True:
            await self._owing.wait()
            self._owing.clear()
            tags = sorted(self._owed)[:AT_ONCE]
            try:
                await self._redis.run(PURGE, [TURNS], TAG, _milliseconds(KNOWN), *tags)
                self._owed.difference_update(tags)
                if self._owed:
                    self._owing.set()
            except Unavailable as away:
                log.warning("answers that are out of date may still be found in Redis by gateways that are started now", tags=len(tags), detail=away.detail)
                self._owing.set()
                await asyncio.sleep(away.retry_after / 2)


def _read(answer: bytes, made: float) -> Kept:
    headers, body, etag, tags, fresh, stale, away, cookies = _unpacked(answer)
    return Kept(headers, body, etag, tuple(tags), made, made + fresh, made + stale, made + away, cookies)


def _name(asked: Key) -> RedisKey:
    return key(OWNER, "kept-answer", hashlib.blake2b(repr(asked).encode(), digest_size=16).hexdigest())


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
