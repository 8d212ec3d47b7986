"""The gateway as an ASGI application."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import lru_cache, partial
from typing import Any, Final

from torg.contexts.gateway import model
from torg.contexts.gateway.adapters.keeping_asgi import Keeper
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.paths import Node, leaf_of

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


PATHS: Final = 8192  # paths whose context is remembered


class Gateway:
    """Hands each request to the context that its path belongs to: to those of this process (`here`) directly, to the others over HTTP, unless their answer
    is kept."""

    def __init__(self, shop: Asgi, here: Collection[str], paths: Node[Row], proxy: Proxy, keeper: Keeper | None = None) -> None:
        self._shop, self._proxy, self._keeper = shop, proxy, keeper
        self._row = lru_cache(PATHS)(partial(leaf_of, root=paths))
        self._own = frozenset((*here, model.OWN))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        row = self._row(scope["path"])
        if row.context in self._own:
            await self._shop(scope, receive, send)
        elif self._keeper is not None:
            await self._keeper(row, scope, receive, send)
        else:
            await self._proxy(row, scope, receive, send)

    async def close(self) -> None:
        if self._keeper:
            await self._keeper.close()
        await self._proxy.close()
