"""Where the acquirer stands when it shares the shop's port."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

PREFIX = "/acquirer"
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


def beside(shop: Asgi, acquirer: Asgi) -> Asgi:
    """Both on one port: the acquirer answers below its prefix, the shop everything else."""

    async def both(scope: Any, receive: Any, send: Any) -> None:
        path: str = scope.get("path", "")
        to_acquirer = path == PREFIX or path.startswith(f"{PREFIX}/")
        await (acquirer if to_acquirer else shop)(scope, receive, send)

    return both
