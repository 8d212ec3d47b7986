"""Idempotency keys that several instances answer for: one request at a time for each, and copies of the answers, to spare a read.

What a key was answered with is filed in SQL, in the commit of the effect, and only that counts: without Redis, or when it forgets, of two requests that run
at once one fails to commit."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from torg.kit.errors import ConcurrentChange, Unavailable
from torg.kit.redis import Key, Redis, Script, key
from torg.kit.store import Answer
from torg.kit.telemetry import log
from torg.kit.values import NewId

ANSWERING: Final = 10.0  # seconds until a request whose process died no longer holds up the next
COPIED: Final = 600.0  # seconds: clients try again soon or never

BEGIN = Script("""
    local copy = redis.call('GET', KEYS[1])
    if copy then return {copy, 0} end
    if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) or redis.call('GET', KEYS[2]) == ARGV[1] then return {false, 1} end
    return {false, 0}""")
END = Script("""
    if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
    if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('UNLINK', KEYS[2]) end""")

_packed = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder(tuple[str, Answer]).decode


class Turn:
    """A request's turn at its key."""

    __slots__ = ("me", "names")

    def __init__(self, names: list[Key], me: str) -> None:
        self.names, self.me = names, me


class SharedKeys:
    """The keys' common side."""

    def __init__(self, redis: Redis, new_id: NewId) -> None:
        self._redis, self._new_id = redis, new_id

    async def begin(self, context: str, caller: str, name: str) -> Turn | tuple[str, Answer] | None:
        """The turn to answer it, or the fingerprint and answer that it had; None where only SQL can tell. Raises ConcurrentChange while another instance
        answers it."""
        digest = hashlib.blake2b(f"{caller}\0{name}".encode(), digest_size=16).hexdigest()
        turn = Turn([key(context, "answer", digest), key(context, "answering", digest)], self._new_id())
        try:
            copy, mine = await self._redis.run(BEGIN, turn.names, turn.me, int(ANSWERING * 1000))
        except Unavailable:
            return None
        if copy is not None:
            return _unpacked(copy)
        if not mine:
            raise in_progress()
        return turn

    async def end(self, turn: Turn, answered: tuple[str, Answer] | None) -> None:
        """Lets the next one in, who finds the copy of what was filed, if anything was."""
        try:
            await self._redis.run(END, turn.names, turn.me, _packed(answered) if answered else b"", int(COPIED * 1000))
        except Unavailable as away:
            log.warning("the next request with this Idempotency-Key may be told to wait", seconds=ANSWERING, detail=away.detail)


def in_progress() -> ConcurrentChange:
    return ConcurrentChange("idempotency.in_progress", "a request with this Idempotency-Key is being answered; ask again in a moment")
