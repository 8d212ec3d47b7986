"""Discovery by Consul's HTTP API: a process registers its contexts with a health check, and watches where those of others are healthy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.rpc.http import Answer, Broken, Connections, Unreachable
from torg.kit.rpc.peers import Instances

CHECKED: Final = "2s"
"""How often Consul asks a process whether it is ready."""
FORGOTTEN: Final = "1m"
"""When a process that is not is taken off the list."""
WATCHED: Final = 30  # seconds that Consul keeps a question open until something has changed
ASKED: Final = 3.0  # seconds for any other answer
AGAIN: Final = 1.0  # seconds after a question in vain


class _Node(msgspec.Struct, frozen=True, rename="pascal"):
    address: str


class _Service(msgspec.Struct, frozen=True, rename="pascal"):
    address: str
    port: int


class _Healthy(msgspec.Struct, frozen=True, rename="pascal"):
    node: _Node
    service: _Service


_healthy = msgspec.json.Decoder(tuple[_Healthy, ...]).decode


class ConsulPeers:
    """Implements Peers. `prefix` stands before contexts' names, so that they are told from other services."""

    def __init__(self, agent: str, prefix: str = "torg-", token: str = "") -> None:
        self._agent, self._prefix, self._token = agent, prefix, token
        self._connections = Connections()
        self._known: dict[str, Instances] = {}
        self._wanted: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
        self._registered: list[str] = []
        self._turn = asyncio.Lock()

    async def of(self, context: str) -> Instances:
        if context not in self._known:
            async with self._turn:
                if context not in self._known:
                    index = await self._look(context, 0)
                    self._wanted.put_nowait((context, index))
        return self._known[context]

    async def run(self) -> None:
        async with asyncio.TaskGroup() as watches:
            while True:
                watches.create_task(self._watch(*await self._wanted.get()))

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None:
        host, _, port = address.rpartition(":")
        everywhere = host in ("0.0.0.0", "::", "")  # noqa: S104 compared, not bound
        for context in contexts:
            id = f"{self._prefix}{context}-{host}-{port}"
            check = {"HTTP": f"http://{'127.0.0.1' if everywhere else host}:{asked_at}/ready", "Interval": CHECKED, "Timeout": CHECKED}
            check["DeregisterCriticalServiceAfter"] = FORGOTTEN
            service = {"ID": id, "Name": self._prefix + context, "Address": "" if everywhere else host, "Port": int(port), "Check": check}
            await self._ask("PUT", "/v1/agent/service/register", service)
            self._registered.append(id)

    async def close(self) -> None:
        """Takes back what was announced; a Consul that is away finds out by itself."""
        while self._registered:
            id = self._registered.pop()
            try:
                await self._ask("PUT", f"/v1/agent/service/deregister/{id}")
            except Unavailable as away:
                telemetry.log.warning("could not be taken off Consul's list", service=id, detail=away.detail)
        await self._connections.close()

    async def _watch(self, context: str, index: int) -> None:
        while True:
            try:
                index = await self._look(context, index)
            except Unavailable as away:
                telemetry.log.warning("Consul does not answer", context=context, detail=away.detail)
                index = 0
                await asyncio.sleep(AGAIN)

    async def _look(self, context: str, index: int) -> int:
        """Takes note of the healthy instances once they are others than at this index; gives the index of what it found."""
        path = f"/v1/health/service/{self._prefix}{context}?passing=true&index={index}&wait={WATCHED}s"
        answer = await self._ask("GET", path, within=WATCHED * 1.2 if index else ASKED)
        addresses = tuple(sorted(_address(found) for found in _healthy(answer.body)))
        if self._known.get(context, None) != Instances(addresses):
            self._known[context] = Instances(addresses)
        return max(int(answer.header(b"x-consul-index") or 0), 1)

    async def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None, within: float = ASKED) -> Answer:
        body = msgspec.json.encode(document) if document is not None else b""
        token = f"x-consul-token: {self._token}\r\n" if self._token else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: {self._agent}\r\n{token}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        try:
            async with asyncio.timeout(within):
                answer = await self._connections.ask(self._agent, head.encode() + body)
        except (Unreachable, Broken, TimeoutError) as error:
            raise Unavailable(f"Consul at {self._agent} does not answer: {error}") from error
        if answer.status != 200:
            raise Unavailable(f"Consul at {self._agent} answers {answer.status}: {answer.body.decode(errors='replace')}")
        return answer


def open_consul(discovery: str) -> ConsulPeers:
    """`consul://127.0.0.1:8500`, with `?token=…` and `?prefix=…` where they are needed."""
    parts, query = urlsplit(discovery), parse_qs(urlsplit(discovery).query)
    return ConsulPeers(parts.netloc, query.get("prefix", ["torg-"])[0], query.get("token", [""])[0])


def _address(found: _Healthy) -> str:
    host = found.service.address or found.node.address
    return f"[{host}]:{found.service.port}" if ":" in host else f"{host}:{found.service.port}"
