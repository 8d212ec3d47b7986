"""Sessions over SQL, with copies of the live ones in Redis for all instances, which hear of an ending at once.

A copy is never older than what SQL said TRUSTED_FOR ago, so that an ending that Redis has missed shows within that time. Before a session ends, a mark takes
the place of its copy and outlives whoever was reading SQL just then: where it stands nothing is copied or held."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from torg.contexts.user.adapters.sessions_sql import Names, SqlSessionStore
from torg.contexts.user.model.sessions import Live
from torg.kit.auth import EVERYWHERE, Duties, Identity, Role
from torg.kit.endings import Ended, hear, told
from torg.kit.errors import Unavailable
from torg.kit.messages import encode
from torg.kit.redis import Key, Redis, Script, key
from torg.kit.sql import Database
from torg.kit.telemetry import log
from torg.kit.values import Clock

MARKED: Final = 60  # seconds: longer than any process that was stopped in the midst of reading
MARK: Final = b"-"

FIND = Script("return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}")
MARK_AND_TELL = Script(f"""
    for _, key in ipairs(KEYS) do redis.call('SET', key, '{MARK.decode()}', 'EX', {MARKED}) end
    redis.call('PUBLISH', ARGV[1], ARGV[2])""")


class _Copy(msgspec.Struct, frozen=True, array_like=True):
    user_id: str
    roles: frozenset[Role]
    session_id: str
    until: datetime
    scopes: frozenset[str] | None = None
    client_id: str = ""
    tier: str = ""
    duties: Duties = EVERYWHERE
    lacks_factor: bool = False
    bound_to: str = ""


_copy = msgspec.json.Decoder(_Copy).decode


class RedisSessionStore(SqlSessionStore):
    """Implements SessionStore. Without Redis it does what the others' SQL does: they see an ending within TRUSTED_FOR."""

    def __init__(self, database: Database, clock: Clock, redis: Redis, staff_factor: bool = False) -> None:
        super().__init__(database, clock, staff_factor=staff_factor)
        self._redis = redis
        hear(redis, lambda ended: self._drop(ended.tokens), lambda: self._drop(tuple(self._held)))

    async def _read(self, hashed: str) -> tuple[Live | None, timedelta]:
        try:
            copy, left = await self._redis.run(FIND, [_key(hashed)])
        except Unavailable:
            return await super()._read(hashed)
        if copy and copy != MARK:
            kept = _copy(copy)
            identity = Identity(
                kept.user_id, kept.roles, kept.session_id, kept.scopes, kept.client_id, kept.tier, kept.duties, kept.lacks_factor, kept.bound_to
            )
            return Live(identity, kept.until), timedelta(milliseconds=left)
        began = time.monotonic()
        live, trusted = await super()._read(hashed)
        left = trusted.total_seconds() - (time.monotonic() - began)
        if live is None or copy == MARK or left <= 0 or not await self._copied(hashed, live, left):
            return live, timedelta()
        return live, timedelta(seconds=left)

    async def _copied(self, hashed: str, live: Live, seconds: float) -> bool:
        """False where a mark came in between."""
        who = live.identity
        of_client = who.scopes, who.client_id, who.tier
        copy = _Copy(who.user_id, who.roles, who.session_id, live.until, *of_client, who.duties, who.lacks_factor, who.bound_to)
        try:
            return await self._redis.put(_key(hashed), encode(copy), seconds, only_new=True)
        except Unavailable:
            return True

    async def _announce(self, sessions: Sequence[Names]) -> None:
        if not sessions:
            return
        ended = Ended(tuple(id for id, _ in sessions), tuple(hashed for _, hashed in sessions))
        try:
            await self._redis.run(MARK_AND_TELL, [_key(hashed) for hashed in ended.tokens], *told(ended))
        except Unavailable as away:
            log.warning("other instances learn of ended sessions later", count=len(sessions), detail=away.detail)


def _key(hashed: str) -> Key:
    return key("user", "session", hashed)
