"""Counts in Redis, for all instances together: by its clock, each request in one step, so that no two of them are both the last one. An answer that was lost
is asked for again, and may count twice.

A slot is a member of its owner's set, with the time until which it is held; an instance says again and again which of its own it holds, so that those of one
that was killed are free after LEASE."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Final

from torg.kit.errors import Unavailable
from torg.kit.limits.memory import standing_of
from torg.kit.limits.model import NEAR, Standing
from torg.kit.limits.ports import Claim
from torg.kit.limits.slots import Slot, Slots
from torg.kit.redis import Key, Redis, Script, key

LEASE: Final = 15.0  # seconds
TOGETHER: Final = 0.01  # seconds for which slots that have become free are collected
MOST: Final = 500  # slots that are told of in one step
REMEMBERED: Final = 10_000  # slots that have become free while nobody could be told
TAKE: Final = Script(
    """
    local now = tonumber(ARGV[1])
    if not now then
        local time = redis.call('TIME')
        now = time[1] + time[2] / 1000000
    end
    local near = """
    + str(NEAR)
    + """
    local decide = {}

    decide['token bucket'] = function(requests, seconds, burst, tokens, at)
        local rate = requests / seconds
        tokens = math.min(burst, (tokens or burst) + math.max(0, now - (at or now)) * rate)
        local passed, wait = tokens >= 1 - near, 0
        if passed then tokens = math.max(0, tokens - 1) else wait = (1 - tokens) / rate end
        local reset = (burst - tokens) / rate
        return {tokens, now, 0}, {passed, math.floor(tokens + near), reset, wait}, reset
    end

    decide['leaky bucket'] = function(requests, seconds, burst, due)
        local interval = seconds / requests
        local longest = burst * interval
        due = math.min(math.max(now, due or now), now + longest + interval)
        local wait = due - now
        local passed = wait <= longest + interval * near
        if passed then due = due + interval else wait = wait - longest end
        local room = (longest + interval - (due - now)) / interval
        return {due, 0, 0}, {passed, math.max(0, math.floor(room + near)), due - now, wait}, due - now
    end

    decide['fixed window'] = function(requests, seconds, _, start, count)
        start, count = math.min(start or now, now), count or 0
        if now - start >= seconds then start, count = now, 0 end
        local passed, left = count < requests, start + seconds - now
        if passed then count = count + 1 end
        return {start, count, 0}, {passed, requests - count, left, passed and 0 or left}, left
    end

    decide['sliding window'] = function(requests, seconds, _, start, before, count)
        start, before, count = math.min(start or now, now), before or 0, count or 0
        if now - start >= 2 * seconds then
            start, before, count = now, 0, 0
        elseif now - start >= seconds then
            start, before, count = start + seconds, count, 0
        end
        local gone = (now - start) / seconds
        local free = requests - count - before * (1 - gone)
        local passed, wait = free >= 1 - near, 0
        if passed then
            count, free = count + 1, free - 1
        elseif count + 1 <= requests then
            wait = ((1 - gone) - (requests - count - 1) / before) * seconds
        else
            wait = (1 - gone + 1 - (requests - 1) / count) * seconds
        end
        local reset = (count > 0 and 2 - gone or 1 - gone) * seconds
        return {start, before, count}, {passed, math.max(0, math.floor(free + near)), reset, wait}, 2 * seconds
    end

    local after, standings, kept, all = {}, {}, {}, true
    local claims, slot = #KEYS, tonumber(ARGV[2])
    if slot > 0 then
        local name, most = ARGV[3], slot
        redis.call('ZREMRANGEBYSCORE', KEYS[claims], '-inf', string.format('%.6f', now))
        local free = most - redis.call('ZCARD', KEYS[claims])
        if redis.call('ZSCORE', KEYS[claims], name) then free = free + 1 end
        all = free > 0
        standings[claims] = {free, 0, '0', '0'}
        claims = claims - 1
    end
    for at = 1, claims do
        local key = KEYS[at]
        local state = {}
        for number in string.gmatch(redis.call('GET', key) or '', '%S+') do state[#state + 1] = tonumber(number) end
        local first = 4 * at + 1
        local new, standing, lasts = decide[ARGV[first]](tonumber(ARGV[first + 1]), tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3]), unpack(state))
        all = all and standing[1]
        after[at], kept[at] = string.format('%.7f %.7f %.7f', unpack(new)), lasts
        standings[at] = {standing[1] and 1 or 0, standing[2], string.format('%.6f', standing[3]), string.format('%.6f', standing[4])}
    end
    for at = 1, claims do
        if all or standings[at][1] == 0 then redis.call('SET', KEYS[at], after[at], 'PX', math.max(1, math.ceil(kept[at] * 1000))) end
    end
    if slot > 0 and all then
        redis.call('ZADD', KEYS[#KEYS], string.format('%.6f', now + ARGV[4]), ARGV[3])
        redis.call('PEXPIRE', KEYS[#KEYS], math.ceil(ARGV[4] * 1000))
    end
    return standings"""
)
KEEP: Final = Script("""
    local now = tonumber(ARGV[1])
    if not now then
        local time = redis.call('TIME')
        now = time[1] + time[2] / 1000000
    end
    for at, key in ipairs(KEYS) do
        redis.call('ZADD', key, string.format('%.6f', now + ARGV[2]), ARGV[2 + at])
        redis.call('PEXPIRE', key, math.ceil(ARGV[2] * 1000))
    end""")
LEAVE: Final = Script("for at, key in ipairs(KEYS) do redis.call('ZREM', key, ARGV[at]) end")


class RedisLimiter:
    """Implements Limiter. `me` tells this instance's slots from all others'; `now`: another clock than Redis's own."""

    def __init__(self, redis: Redis, me: str, now: Callable[[], float] | None = None, lease: float = LEASE) -> None:
        self._redis, self._me, self._now, self._lease = redis, me, now, lease
        self._numbers, self._here = count(), Slots()
        self._held: dict[Slot, str] = {}
        self._left: list[tuple[Key, str]] = []
        self._leaving = asyncio.Event()
        self._kept = self._time()

    async def take(self, claims: Sequence[Claim], slot: Slot | None = None) -> list[Standing]:
        words: list[str | float] = [self._now() if self._now else ""]
        keys = [_key("limit", limit.name, who) for limit, who in claims]
        if slot is None:
            words += [0, "", ""]
        elif (free := self._here.free(slot)) < 1:  # no other instance can have let any of them go
            return [*(standing_of(1) for _ in claims), standing_of(free)]
        else:
            self._here.take(slot)
            self._held[slot] = f"{self._me}.{next(self._numbers)}"
            words += [slot.most, self._held[slot], self._lease]
            keys.append(_key("under_way", slot.who))
        for limit, _ in claims:
            words += [limit.algorithm.value, limit.requests, limit.seconds, limit.burst]
        found = await self._redis.run(TAKE, keys, *words)
        standings = [Standing(bool(passed), remaining, float(reset), float(wait)) for passed, remaining, reset, wait in found[: len(claims)]]
        if slot is not None:
            standings.append(standing_of(found[-1][0]))
            if not all(standing.passed for standing in standings):
                self._here.leave(slot)
                del self._held[slot]
        return standings

    def leave(self, slot: Slot) -> None:
        if self._here.leave(slot):
            self._left.append((_key("under_way", slot.who), self._held.pop(slot)))
            self._leaving.set()

    async def run(self) -> None:
        """Tells of slots that have become free, many in one step, and of those that are still held."""
        while True:
            try:
                async with asyncio.timeout(self._lease / 3):
                    await self._leaving.wait()
                await asyncio.sleep(TOGETHER)
            except TimeoutError:
                pass  # nobody has left
            self._leaving.clear()
            await self._tell()

    def _time(self) -> float:
        return self._now() if self._now else time.monotonic()

    async def _tell(self) -> None:
        left, self._left = self._left, []
        try:
            for some in _batches(left):
                await self._redis.run(LEAVE, [key for key, _ in some], *(name for _, name in some))
            if self._time() - self._kept >= self._lease / 3:
                self._kept = self._time()
                for some in _batches([(_key("under_way", slot.who), name) for slot, name in self._held.items()]):
                    now = self._now() if self._now else ""
                    await self._redis.run(KEEP, [key for key, _ in some], now, self._lease, *(name for _, name in some))
        except Unavailable:  # what can't be told ends with its lease
            self._left = [*left, *self._left][-REMEMBERED:]


def _batches(slots: Sequence[tuple[Key, str]]) -> Iterable[Sequence[tuple[Key, str]]]:
    return (slots[at : at + MOST] for at in range(0, len(slots), MOST))


def _key(*what: str) -> Key:
    """The last is whose it is: under its hash, for it may be an address."""
    return key("edge", *what[:-1], hashlib.blake2b(what[-1].encode("utf-8", "replace"), digest_size=12).hexdigest())
