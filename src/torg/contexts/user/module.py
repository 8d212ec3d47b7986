"""The user context, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.user.adapters.api_keys_sql import SqlApiKeyStore
from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.audit_sql import SqlUserAudit
from torg.contexts.user.adapters.factors_sql import SqlFactorStore
from torg.contexts.user.adapters.familiar_sql import SqlFamiliarStore
from torg.contexts.user.adapters.hashing_argon2 import Argon2Passwords
from torg.contexts.user.adapters.keys_sql import SqlKeys
from torg.contexts.user.adapters.links_sql import SqlLinkStore
from torg.contexts.user.adapters.oauth_sql import SqlClientStore
from torg.contexts.user.adapters.passkeys_webauthn import SqlPasskeyStore, WebAuthn
from torg.contexts.user.adapters.provider_oidc import OidcProvider
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.adapters.store_sql import SqlAddressStore, SqlUserStore
from torg.contexts.user.contracts import LETTERS
from torg.contexts.user.handlers import HANDLERS
from torg.contexts.user.handlers.api_keys import file_last_uses
from torg.contexts.user.handlers.oauth.leaving import tell_of_logouts
from torg.contexts.user.handlers.passkeys import drop_spent_challenges
from torg.contexts.user.handlers.recovery import drop_expired_links, send_resets
from torg.contexts.user.handlers.sessions import drop_expired_sessions
from torg.contexts.user.handlers.staff import appoint_first_admin
from torg.contexts.user.handlers.tokens import rotate_old_keys
from torg.contexts.user.ports import Attempts, UserDeps
from torg.contexts.user.routes import routes
from torg.kit.dpop import Proofs
from torg.kit.module import Kit, Module, bound
from torg.kit.outbound import Outbound
from torg.kit.sealing import Sealer
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    passwords, database = Argon2Passwords(kit.settings.password_memory_kib), kit.store.database
    sessions, attempts = _shared(kit)
    issuer = kit.public_url.rstrip("/")
    outbound = Outbound(inside=not issuer.startswith("https:"))
    provider = _provider(kit, issuer, outbound)
    deps = UserDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access, randomness=kit.randomness,
        users=SqlUserStore(database, kit.clock), addresses=SqlAddressStore(database, kit.clock), sessions=sessions,
        api_keys=SqlApiKeyStore(database, sessions), clients=SqlClientStore(database), outbound=outbound, provider=provider,
        provider_factors=frozenset(kit.settings.oidc_factors.split()),
        sealer=Sealer(kit.secret, "torg.user.browsers", kit.randomness),
        keys=SqlKeys(kit.store, issuer, Sealer(kit.secret, "torg.user.keys", kit.randomness), kit.randomness), issuer=issuer,
        proofs=Proofs(issuer, kit.clock, kit.redis),
        passwords=passwords, attempts=attempts, factors=SqlFactorStore(database), passkeys=SqlPasskeyStore(database), familiar=SqlFamiliarStore(),
        devices=WebAuthn(issuer),
        links=SqlLinkStore(database),
        letters=Sealer(kit.secret, LETTERS, kit.randomness), strict_with_staff=kit.settings.staff_passwords == "pci",
    )  # fmt: skip
    return Module(
        name="user",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        jobs=(
            Job("user.expired_sessions", 3600, partial(drop_expired_sessions, deps)),
            Job("user.expired_links", 3600, partial(drop_expired_links, deps)),
            Job("user.spent_challenges", 3600, partial(drop_spent_challenges, deps)),
            Job("user.resets", 1, partial(send_resets, deps)),
            Job("user.keys", 3600, partial(rotate_old_keys, deps)),
            Job("user.logout_notices", 1, partial(tell_of_logouts, deps)),
            *([Job("user.first_admin", 2, partial(appoint_first_admin, kit.settings.admin, deps))] if kit.settings.admin else ()),
            Job("user.api_keys_used", 30, partial(file_last_uses, deps), everywhere=True),
        ),
        invariants=SqlUserAudit(kit.store).invariants(),
        close=partial(_close, passwords, outbound),
    )


async def _close(passwords: Argon2Passwords, outbound: Outbound) -> None:
    await passwords.close()
    await outbound.close()


def _provider(kit: Kit, issuer: str, outbound: Outbound) -> OidcProvider | None:
    named = kit.settings
    if not named.oidc_issuer:
        return None
    return OidcProvider(named.oidc_issuer.rstrip("/"), named.oidc_client_id, named.oidc_client_secret, f"{issuer}/sign-in/outside/back", outbound, kit.clock)


def _shared(kit: Kit) -> tuple[SqlSessionStore, Attempts]:
    """What instances know of each other's sessions and sign-ins."""
    required = kit.settings.staff_factor == "always" or (kit.settings.staff_factor == "demonstration" and not kit.settings.demo)
    if kit.redis is None:
        return SqlSessionStore(kit.store.database, kit.clock, kit.purge, required), MemoryAttempts()
    from torg.contexts.user.adapters.attempts_redis import RedisAttempts
    from torg.contexts.user.adapters.sessions_redis import RedisSessionStore

    return RedisSessionStore(kit.store.database, kit.clock, kit.redis, required), RedisAttempts(kit.redis)
