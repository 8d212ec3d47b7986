"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from torg.contexts.gateway import model
from torg.contexts.gateway.adapters.proxy_http import Proxy

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Gateway:
    """Hands each request to the context that its path belongs to: to those of this process (`here`) directly, to the others over HTTP."""

    def __init__(self, shop: Asgi, here: Collection[str], proxy: Proxy) -> None:
        self._shop, self._proxy = shop, proxy
        self._paths, self._own = model.tree(model.TABLE), frozenset((*here, model.OWN))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        context = model.leaf_of(scope["path"], self._paths)
        if context in self._own:
            await self._shop(scope, receive, send)
        else:
            await self._proxy(context, scope, receive, send)

    async def close(self) -> None:
        await self._proxy.close()
