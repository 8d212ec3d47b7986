"""A front door, what lies before it, and what has got through."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from torg import topology
from torg.contexts.admin.contracts import CountryRule, NetworkRule, NetworkRules
from torg.contexts.gateway.adapters.declared_toml import DEFAULTS, declared, laid_over
from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.adapters.networks import Lists, Proxies
from torg.contexts.gateway.model import Declared
from torg.kit.auth import Identity, Role
from torg.kit.countries import open_atlas
from torg.kit.errors import Unavailable
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.limits.ports import Limiter
from torg.kit.testing import TestClock, test_ids
from torg.kit.values import new_id

CONTEXTS = (*topology.CONTEXTS, topology.SANDBOX)
PEOPLE = {
    "anna": Identity("anna", frozenset({Role.CUSTOMER})),
    "boris": Identity("boris", frozenset({Role.CUSTOMER})),
    "vera": Identity("vera", frozenset({Role.PARTNER})),
    "robot": Identity("vera", frozenset({Role.PARTNER}), tier="free"),
    "engine": Identity("vera", frozenset({Role.PARTNER}), tier="premium"),
}
ADDRESS = "198.51.100.7"
NARROW = {"requests": 3, "burst": 3}


class Hands:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Answer:
    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self) -> str:
        return str(msgspec.json.decode(self.body)["code"])


class Street:
    """What lies before the front door, and what has got through it."""

    def __init__(self, limiter: Limiter | None = None, geo: str = "", proxies: str = "", address: str = "", **tables: Any) -> None:
        self.hands, self.clock, self.rules, self.away = Hands(), TestClock(), list[NetworkRule](), False
        self.countries: list[CountryRule] = []
        self.inside: list[Any] = []
        self.asked: list[str] = []
        self.door = asyncio.Event()
        self.door.set()
        found: Declared = declared(laid_over(tomllib.loads(DEFAULTS.read_text()), tables), CONTEXTS)
        self.lists = Lists(self._ruled, found.countries, open_atlas(geo), self.clock)
        counting = limiter or MemoryLimiter(self.hands)
        self.guard = Guard(self._serve, found, counting, self._authenticate, self.lists, Proxies.named(proxies), test_ids(), address=address)

    async def _ruled(self) -> NetworkRules:
        if self.away:
            raise Unavailable("the admin context is away")
        return NetworkRules(tuple(self.rules), countries=tuple(self.countries))

    async def _authenticate(self, token: str) -> Identity | None:
        self.asked.append(token)
        return PEOPLE.get(token)

    async def _serve(self, scope: Any, _: Any, send: Any) -> None:
        self.inside.append(scope)
        await self.door.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"inside"})

    async def ask(self, path: str, token: str = "", method: str = "GET", client: str = ADDRESS, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        said = [*headers, *([("authorization", f"Bearer {token}")] if token else [])]
        scope = {
            "type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http", "client": (client, 1),
            "headers": [(name.encode(), value.encode()) for name, value in said],
        }  # fmt: skip
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.guard(scope, nothing_more, send)
        return Answer(sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}, sent[1]["body"])

    async def block(self, network: str, minutes: float = 60, kind: Any = "block") -> None:
        now = self.clock()
        self.rules.append(
            NetworkRule(id=new_id(), network=network, kind=kind, reason="a flood", added_by="x", added_at=now, expires_at=now + timedelta(minutes=minutes))
        )
        await self.lists.look()

    async def say(self, kind: Any, *countries: str, minutes: float = 60) -> None:
        """Of countries, as the staff do."""
        now = self.clock()
        said = {"kind": kind, "reason": "a flood", "added_by": "x", "added_at": now, "expires_at": now + timedelta(minutes=minutes)}
        self.countries += [CountryRule(id=new_id(), country=country, **said) for country in countries]
        await self.lists.look()

    async def lets_in(self, *clients: str) -> list[bool]:
        return [(await self.ask("/", client=client)).status == 200 for client in clients]


async def nothing_more() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def times(count: int, ask: Callable[[], Awaitable[Answer]]) -> list[int]:
    return [(await ask()).status for _ in range(count)]
