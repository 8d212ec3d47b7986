"""The user context, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.audit_sql import SqlUserAudit
from torg.contexts.user.adapters.hashing_argon2 import Argon2Passwords
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.adapters.store_sql import SqlAddressStore, SqlUserStore
from torg.contexts.user.handlers import HANDLERS, drop_expired_sessions
from torg.contexts.user.ports import Attempts, SessionStore, UserDeps
from torg.contexts.user.routes import routes
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    passwords, database = Argon2Passwords(kit.settings.password_memory_kib), kit.store.database
    sessions, attempts = _shared(kit)
    deps = UserDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, randomness=kit.randomness,
        users=SqlUserStore(database, kit.clock), addresses=SqlAddressStore(database, kit.clock), sessions=sessions,
        passwords=passwords, attempts=attempts,
    )  # fmt: skip
    return Module(
        name="user",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        jobs=(Job("user.expired_sessions", 3600, partial(drop_expired_sessions, deps)),),
        invariants=SqlUserAudit(kit.store).invariants(),
        close=passwords.close,
    )


def _shared(kit: Kit) -> tuple[SessionStore, Attempts]:
    """What instances know of each other's sessions and sign-ins."""
    if kit.redis is None:
        return SqlSessionStore(kit.store.database, kit.purge), MemoryAttempts()
    from torg.contexts.user.adapters.attempts_redis import RedisAttempts
    from torg.contexts.user.adapters.sessions_redis import RedisSessionStore

    return RedisSessionStore(kit.store.database, kit.redis), RedisAttempts(kit.redis)
