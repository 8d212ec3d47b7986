"""Sessions carried on, at most once for each refresh token, whichever instance its requests come to."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from typing import Final

import msgspec

from torg.contexts.user.contracts import RefreshSession, Tokens
from torg.contexts.web.adapters.renewals_memory import Buy
from torg.kit.errors import Unavailable
from torg.kit.messages import encode
from torg.kit.redis import Key, Redis, Script, key
from torg.kit.values import NewId

BUYING: Final = 10.0  # seconds that one instance has for it
REMEMBERED: Final = 60.0  # as long as an instance's own memory
LOOK: Final = 0.05
BOUGHT: Final = b"="

CLAIM = Script("""
    local found = redis.call('GET', KEYS[1])
    if not found then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
    return found or ARGV[1]""")
GIVE_UP = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end")

_tokens = msgspec.json.Decoder(Tokens).decode


class RedisPurchases:
    """Asks for new tokens, unless another instance has done so, or does just now. Without Redis it asks by itself: of two instances that do so with one token
    the user context refuses both, and its owner signs in anew."""

    def __init__(self, call: Buy, redis: Redis, new_id: NewId) -> None:
        self._call, self._redis, self._new_id = call, redis, new_id

    async def __call__(self, ask: RefreshSession) -> Tokens:
        name = key("web", "renewal", hashlib.sha256(ask.refresh_token.encode()).hexdigest())
        me = f"?{self._new_id()}".encode()
        try:
            while (found := await self._redis.run(CLAIM, [name], me, int(BUYING * 1000))) != me:
                if found.startswith(BOUGHT):
                    return _tokens(_veiled(ask.refresh_token, found[len(BOUGHT) :]))
                await asyncio.sleep(LOOK)
        except Unavailable:
            return await self._call(ask)
        return await self._buy(ask, name, me)

    async def _buy(self, ask: RefreshSession, name: Key, me: bytes) -> Tokens:
        try:
            tokens = await self._call(ask)
        except BaseException:
            with suppress(Unavailable):  # it goes by itself
                await self._redis.run(GIVE_UP, [name], me)
            raise
        with suppress(Unavailable):  # the others ask by themselves then
            await self._redis.put(name, BOUGHT + _veiled(ask.refresh_token, encode(tokens)), REMEMBERED)
        return tokens


def _veiled(token: str, data: bytes) -> bytes:
    """Data that only who has the token can read, and back: nothing in Redis may open a door. A token veils one answer, so its stream is used once."""
    stream = hashlib.shake_256(b"renewal\0" + token.encode()).digest(len(data))
    return bytes(one ^ other for one, other in zip(data, stream, strict=True))
