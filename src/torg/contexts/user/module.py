"""The user context, put together."""

from __future__ import annotations

from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.hashing_argon2 import Argon2Passwords
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.adapters.store_sql import SqlAddressStore, SqlUserStore
from torg.contexts.user.handlers import HANDLERS
from torg.contexts.user.ports import UserDeps
from torg.contexts.user.routes import routes
from torg.kit.module import Kit, Module, bound
from torg.kit.operations import Invariant
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    passwords, database = Argon2Passwords(kit.settings.password_memory_kib), kit.store.database
    deps = UserDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, randomness=kit.randomness,
        users=SqlUserStore(database, kit.clock), addresses=SqlAddressStore(database, kit.clock), sessions=SqlSessionStore(database),
        passwords=passwords, attempts=MemoryAttempts(),
    )  # fmt: skip

    async def drop_expired_sessions() -> None:
        async with deps.transaction() as tx:
            await deps.sessions.drop_expired(tx, deps.clock())

    async def sessions_of_the_erased() -> list[str]:
        rows = await database.all("select s.id from session s join users u on u.id = s.user_id where u.erased_at is not null limit 100")
        return [f"session {row['id']} outlived its user" for row in rows]

    return Module(
        name="user",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        jobs=(Job("user.expired_sessions", 3600, drop_expired_sessions),),
        invariants=(Invariant("user.no_session_outlives_its_user", "An erased user has no session.", sessions_of_the_erased),),
        close=passwords.close,
    )
