"""A small fleet on real ports: processes that are played by this one."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import msgspec

from torg.kit import values
from torg.kit.calls import Call, Handle, LocalCalls
from torg.kit.chain import Chained
from torg.kit.errors import DomainError, FieldError, Invalid, Unavailable
from torg.kit.messages import Message, Registry
from torg.kit.rpc.client import RemoteCalls
from torg.kit.rpc.door import Asgi
from torg.kit.rpc.http import Connections
from torg.kit.rpc.peers import StaticPeers
from torg.kit.rpc.server import RpcServer
from torg.kit.rpc.serving import Serving
from torg.kit.rpc.signing import Signer
from torg.kit.rpc.tests import kitchen
from torg.kit.rpc.tests.kitchen import Brew, Cup, LookOut, Smash, Wipe

SECRET = b"the fleet's"


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


def signer(secret: bytes = SECRET) -> Signer:
    return Signer((secret,), b"torg.rpc", values.utc_now)


def server(kitchen: Kitchen, own: Mapping[type[Message], Handle] | None = None) -> RpcServer:
    return RpcServer(LocalCalls(kitchen.handlers), REGISTRY, own or {}, signer(), ("dining-room", "web"))


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
async def calling(*addresses: str, caller: str = "web", secret: bytes = SECRET, patience: float = 5) -> AsyncIterator[Call]:
    connections = Connections()
    remote = RemoteCalls(StaticPeers({"kitchen": addresses}), connections, signer(secret), Random(7), patience)
    try:
        yield Chained(remote, caller)
    finally:
        await connections.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def raising(error: Exception) -> Handle:
    async def refuse(_: Any) -> None:
        raise error

    return refuse


REFUSALS = (
    DomainError("cup.broken", "this cup is broken"),
    Invalid.fields(FieldError("of", "unknown", "tea or coffee")),
    Unavailable("no water", retry_after=7),
)
