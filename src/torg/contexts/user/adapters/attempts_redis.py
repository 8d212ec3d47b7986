"""Wrong passwords, counted in Redis for all instances together. Without Redis nobody signs in: a guesser must not gain from having it fail. Where its answer is
lost one may count twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import count, takewhile
from typing import Final

from torg.contexts.user.model.attempts import FORGOTTEN_AFTER, LONGEST_PAUSE, pause
from torg.kit.redis import Key, Redis, Script, key

_SHORTER = takewhile(lambda length: length < LONGEST_PAUSE, (pause(failures, 0) for failures in count()))
PAUSES: Final = tuple(round(length.total_seconds() * 1000) for length in (*_SHORTER, LONGEST_PAUSE))
"""Milliseconds after the first failure that isn't free, the second, and so on."""

PAUSED: Final = """
    local now, wait = tonumber(ARGV[1]), 0
    for _, key in ipairs(KEYS) do
        wait = math.max(wait, tonumber(redis.call('HGET', key, 'until') or 0) - now)
    end"""
ASK = Script(PAUSED + "\n    return wait")
FAIL = Script(
    PAUSED
    + """
    if wait > 0 then return wait end
    local forgotten, pauses = tonumber(ARGV[2]), cjson.decode(ARGV[3])
    for at, key in ipairs(KEYS) do
        local failures, last = unpack(redis.call('HMGET', key, 'failures', 'last'))
        failures = last and now - tonumber(last) < forgotten and tonumber(failures) + 1 or 1
        local over = failures - tonumber(ARGV[3 + at])
        local pause = over < 0 and 0 or pauses[math.min(over + 1, #pauses)]
        redis.call('HSET', key, 'failures', failures, 'last', ARGV[1], 'until', string.format('%.0f', now + pause))
        redis.call('PEXPIRE', key, forgotten)
    end
    return 0"""
)


class RedisAttempts:
    """Implements Attempts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def paused_for(self, keys: Iterable[str], now: datetime) -> float:
        wait: int = await self._redis.run(ASK, [_key(name) for name in keys], _milliseconds(now))
        return wait / 1000

    async def failed(self, free: Mapping[str, int], now: datetime) -> float:
        forgotten = round(FORGOTTEN_AFTER.total_seconds() * 1000)
        wait: int = await self._redis.run(FAIL, [_key(name) for name in free], _milliseconds(now), forgotten, str(list(PAUSES)), *free.values())
        return wait / 1000

    async def forget(self, key: str) -> None:
        await self._redis.drop(_key(key))


def _key(name: str) -> Key:
    """Under its hash: it holds an e-mail address."""
    return key("user", "attempts", hashlib.sha256(name.encode("utf-8", "replace")).hexdigest())


def _milliseconds(now: datetime) -> int:
    return round(now.timestamp() * 1000)
