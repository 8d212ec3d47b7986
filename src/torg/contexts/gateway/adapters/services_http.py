"""Services beside the shop: requests are handed on to them as to contexts, without what is the shop's alone, and WebSocket passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torg.contexts.gateway.adapters.front_asgi import Asgi, Gateway
from torg.contexts.gateway.adapters.incoming import Receive, Send
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.adapters.upgrade_http import Upgrades
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.paths import Node, leaf_of
from torg.contexts.gateway.model.services import Service
from torg.kit.http.admission import Admission
from torg.kit.messages import Registry
from torg.kit.rpc.exchange import UPGRADE
from torg.kit.rpc.fleet import Fleet, join
from torg.kit.rpc.identity import StaticKeys
from torg.kit.rpc.peers import StaticPeers
from torg.kit.values import Clock, NewId, Randomness

NEVER: Final = 1e6  # seconds: a service is not asked whether it lives, as our own processes are
CREDENTIALS: Final = frozenset({b"authorization", b"cookie", b"x-api-key"})


class Services:
    """Reaches services where their instances answer. `queue`: the process's own; `most`: requests under way to one of them."""

    def __init__(self, services: Mapping[str, Service], clock: Clock, new_id: NewId, randomness: Randomness, queue: Admission | None, most: int) -> None:
        self._services = services
        peers = StaticPeers({name: service.at for name, service in services.items()})
        self._fleet: Fleet = join("gateway", tuple(services), peers, StaticKeys({}, {}), Registry(()), clock, randomness)
        self._proxy = Proxy(self._fleet, new_id, queue, NEVER, most, signs=False)
        self._upgrades = Upgrades(services, self._fleet, new_id, queue)

    def __contains__(self, context: str) -> bool:
        return context in self._services

    async def end(self) -> None:
        """Ends what would go on without end, and takes no more of it."""
        self._upgrades.end()
        await self._proxy.close()

    async def close(self) -> None:
        """Call when nothing is under way any more."""
        await self.end()
        await self._fleet.close()

    async def __call__(self, row: Row, scope: Any, receive: Receive, send: Send) -> None:
        if not self._services[row.context].credentials:
            scope = {**scope, "headers": [header for header in scope["headers"] if header[0] not in CREDENTIALS]}
            send = _without_cookies(send)
        if row.upgrade and UPGRADE in scope:
            await self._upgrades(row, scope, receive, send)
        else:
            await self._proxy(row, scope, receive, send)


class Beside:
    """An ASGI application: the services at their paths, the shop or its gateway everywhere else."""

    def __init__(self, inner: Asgi, services: Services, paths: Node[Row]) -> None:
        self._inner, self._services, self._paths = inner, services, paths

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        row = leaf_of(scope["path"], self._paths)
        if row.context in self._services:
            await self._services(row, scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def close(self) -> None:
        await self._services.end()
        if isinstance(self._inner, Gateway):
            await self._inner.close()


def _without_cookies(send: Send) -> Send:
    """What is set for the shop's host the shop alone sets."""

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [header for header in message["headers"] if header[0] != b"set-cookie"]}
        await send(message)

    return sending
