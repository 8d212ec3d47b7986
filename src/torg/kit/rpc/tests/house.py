"""A small fleet on real ports: processes that are played by this one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec

from torg.kit.calls import Call, Handle, LocalCalls
from torg.kit.chain import Chained
from torg.kit.errors import DomainError, FieldError, Invalid, Unavailable
from torg.kit.messages import Message, Registry
from torg.kit.ports import free_port
from torg.kit.rpc.client import RemoteCalls
from torg.kit.rpc.door import Asgi
from torg.kit.rpc.http import Connections
from torg.kit.rpc.identity import Identities
from torg.kit.rpc.peers import StaticPeers
from torg.kit.rpc.server import MayAsk, RpcServer
from torg.kit.rpc.serving import Serving
from torg.kit.rpc.tests import kitchen
from torg.kit.rpc.tests.kitchen import Brew, Cup, LookOut, Smash, Wipe
from torg.kit.rpc.tls import Tls
from torg.kit.testing.identities import speaking_for

SERVICES = ("kitchen", "dining-room", "web", "gateway")


REGISTRY = Registry([kitchen])


class Kitchen:
    """The context behind the wire. `does` is what it does instead of answering well; `asked` what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Message] = []
        self.does: Handle | None = None

    async def __call__(self, message: Any) -> Any:
        self.asked.append(message)
        if self.does:
            return await self.does(message)
        return Cup(message.of, marks=msgspec.Raw(b'{"best":[1,2]}')) if isinstance(message, Brew) else None

    @property
    def handlers(self) -> Mapping[type[Message], Handle]:
        return {Brew: self, LookOut: self, Smash: self, Wipe: self}


def server(kitchen: Kitchen, own: Mapping[type[Message], Handle] | None = None, may_ask: MayAsk = lambda *_: True) -> RpcServer:
    return RpcServer(LocalCalls(kitchen.handlers), REGISTRY, own or {}, speaking_for("kitchen", services=SERVICES), may_ask)


@asynccontextmanager
async def listening(application: Asgi, port: int = 0) -> AsyncIterator[str]:
    """Its address, until the block ends."""
    port = port or free_port()
    serving = Serving(application, "127.0.0.1", port)
    await serving.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await serving.stop(1)


@asynccontextmanager
async def calling(
    *addresses: str, caller: str = "web", identities: Identities | None = None, patience: float = 5, tls: Tls | None = None
) -> AsyncIterator[Call]:
    connections = Connections(tls)
    remote = RemoteCalls(StaticPeers({"kitchen": addresses}), connections, identities or speaking_for(caller, services=SERVICES), Random(7), patience)
    try:
        yield Chained(remote, caller)
    finally:
        await connections.close()


def raising(error: Exception) -> Handle:
    async def refuse(_: Any) -> None:
        raise error

    return refuse


REFUSALS = (
    DomainError("cup.broken", "this cup is broken"),
    Invalid.fields(FieldError("of", "unknown", "tea or coffee")),
    Unavailable("no water", retry_after=7),
)
