"""The gateway: what listens at the shop's address when its contexts run in several processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from torg.contexts.gateway import model
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.kit.rpc.fleet import Fleet
from torg.kit.values import NewId

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def build(shop: Asgi, here: Collection[str], fleet: Fleet, new_id: NewId) -> Asgi:
    """Hands each request to the context that its path belongs to: to those of this process (`here`) directly, to the others over HTTP."""
    paths, proxy, own = model.tree(), Proxy(fleet, new_id), frozenset((*here, model.OWN))

    async def gateway(scope: Any, receive: Any, send: Any) -> None:
        context = model.context_of(scope["path"], paths)
        if context in own:
            await shop(scope, receive, send)
        else:
            await proxy(context, scope, receive, send)

    return gateway
