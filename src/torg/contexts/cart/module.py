"""The cart context, put together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torg.contexts.cart.adapters.audit_sql import SqlPromoAudit
from torg.contexts.cart.adapters.promos_sql import SqlPromoCodes
from torg.contexts.cart.adapters.store_sql import SqlCartStore
from torg.contexts.cart.handlers import HANDLERS, REACTIONS, give_back_unplaced, purge_abandoned
from torg.contexts.cart.ports import CartDeps, CartStore
from torg.contexts.cart.routes import routes
from torg.kit.bus import Consumer
from torg.kit.http.cookies import is_secure
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job


def build(kit: Kit) -> Module:
    carts, jobs = _carts(kit)
    deps = CartDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access,
        carts=carts, promos=SqlPromoCodes(kit.store.database),
    )  # fmt: skip
    return Module(
        name="cart",
        handlers=bound(HANDLERS, deps),
        routes=routes(secure=is_secure(kit.public_url)),
        consumers=(Consumer("cart", bound(REACTIONS, deps)),),
        jobs=(*jobs, Job("cart.abandoned", 3600, partial(purge_abandoned, deps)), Job("cart.unplaced", 60, partial(give_back_unplaced, deps))),
        invariants=SqlPromoAudit(kit.store).invariants(),
    )


def _carts(kit: Kit) -> tuple[CartStore, Sequence[Job]]:
    if kit.redis is None:
        return SqlCartStore(kit.store), ()
    from torg.contexts.cart.adapters.store_redis import RedisCartStore

    carts = RedisCartStore(kit.redis, kit.store, kit.new_id)
    return carts, (Job("cart.adoption", 60, carts.adopt),)
