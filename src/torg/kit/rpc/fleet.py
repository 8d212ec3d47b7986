"""What makes a process one of several: whom it knows, how it asks them, and what it lets them ask."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, TypeVar

from torg.kit.auth import Authenticate, Identity
from torg.kit.calls import Handle, LocalCalls
from torg.kit.chain import Link
from torg.kit.messages import Command, Message, Query, Registry, context_of
from torg.kit.operations import Desk, DeskView
from torg.kit.rpc.client import Asking, RemoteCalls
from torg.kit.rpc.desks import RemoteDesk, open_desks
from torg.kit.rpc.http import Broken, Connections, Unreachable
from torg.kit.rpc.identity import Identities, Keys
from torg.kit.rpc.logs import RemoteLog, Waiting
from torg.kit.rpc.messages import PurgeAnswers
from torg.kit.rpc.peers import Peers
from torg.kit.rpc.server import MayAsk, RpcServer
from torg.kit.rpc.tls import Tls
from torg.kit.shards import named
from torg.kit.tasks import Supervisor
from torg.kit.tokens import ACCESS, BadToken, Checker
from torg.kit.values import Clock, Randomness

R = TypeVar("R")
ALIVE: Final = b"GET /health HTTP/1.1\r\nhost: %b\r\n\r\n"
LIVES: Final = 3.0  # seconds that a process may take to say that it lives
TOLD: Final = 1.0  # seconds that a process may take to hear what it is to forget
TOGETHER: Final = 0.005  # seconds for which that is collected
RECOGNISED: Final = 2.0  # seconds that an identity is taken for granted: together with the user context's own three, five
SESSION: Final = "session:"
FACES: Final = 10_000  # identities remembered
LEARNED: Final = 30.0  # seconds that the keys of tokens are known: half the time for which a new one is published before it signs
AGAIN: Final = 1.0  # … and one that is not among them is looked for at most so often


Learn = Callable[[], Awaitable[Checker]]


@dataclass(frozen=True)
class Fleet:
    """A process's connections to the others. `contexts` are those of the whole fleet that run elsewhere."""

    name: str
    contexts: tuple[str, ...]
    peers: Peers
    connections: Connections
    remote: RemoteCalls
    identities: Identities
    logs: Mapping[str, RemoteLog]
    waiting: Waiting
    purges: Purges
    tls: Tls | None = None

    @property
    def ask(self) -> Asking:
        """Asks other processes on this one's behalf."""
        return Asking(self.remote, self.name)

    def desks(self, caller: str) -> dict[str, DeskView]:
        """The desks of contexts that run elsewhere and have one, or one for each of their databases."""
        return {context: RemoteDesk(context, Asking(self.remote, caller), log) for context, log in self.logs.items()}

    def server(self, call: LocalCalls, registry: Registry, desks: Mapping[str, Desk], own: Mapping[type[Message], Handle], may_ask: MayAsk) -> RpcServer:
        """What answers other processes here."""
        return RpcServer(call, registry, {**open_desks(desks, registry, self.waiting), **own}, self.identities, may_ask)

    async def refresh(self) -> None:
        """Brings what is known of others' logs up to this moment."""
        for log in self.logs.values():
            await log.refresh()

    def start(self, supervisor: Supervisor) -> None:
        """Keeps what is known of the others up to date."""
        supervisor.start("peers", self.peers.run)
        supervisor.start("purges", self.purges.run)
        supervisor.start("identities", self.identities.keys.run)
        for log in self.logs.values():
            supervisor.start(f"log.{log.context}", log.run)

    async def fault(self, context: str) -> str:
        """Empty where an instance of the context lives; else what is wrong."""
        found, fault = await self.peers.of(context), "it runs nowhere"
        for address in found.addresses:
            if not (fault := await self.fault_at(address, context)):
                break
        return fault

    async def fault_at(self, address: str, context: str) -> str:
        """Empty where a process of the context there says that it lives; else what is wrong."""
        try:
            async with asyncio.timeout(LIVES):
                answer = await self.connections.ask(address, ALIVE % address.encode(), context)
        except (Unreachable, Broken) as error:
            return str(error)
        except TimeoutError:
            return f"{address} does not answer within {LIVES:.0f} s"
        return "" if answer.status == 200 else f"{address} answers {answer.status}"

    async def close(self) -> None:
        """Call after the supervisor was closed."""
        await self.peers.close()
        await self.connections.close()


def join(
    name: str, contexts: Collection[str], peers: Peers, keys: Keys, registry: Registry, clock: Clock, randomness: Randomness,
    parts: Mapping[str, int] | None = None, tls: Tls | None = None,
) -> Fleet:  # fmt: skip
    """`name`: on whose behalf this process asks what nobody asked it for; `contexts` run elsewhere; `parts`: over how many databases some are spread;
    `tls`: how they are spoken to, where that is not in the clear."""
    connections, identities = Connections(tls), Identities(keys, clock, randomness)
    remote = RemoteCalls(peers, connections, identities, Random(int.from_bytes(randomness(8))))  # noqa: S311 spreads load and retries; guards nothing
    ask = Asking(remote, name)
    named_parts = [named(context, shard) for context in contexts for shard in range((parts or {}).get(context, 1))]
    logs = {part: RemoteLog(part, ask, registry) for part in named_parts}
    purges = Purges(name, contexts, remote)
    return Fleet(name, tuple(contexts), peers, connections, remote, identities, logs, Waiting(), purges, tls)


async def until_settled(desks: Mapping[str, DeskView], seconds: float = 60) -> None:
    """Waits until every consumer has handled what it wants of the logs, as long as that takes at most: none has anything to do, and no log has grown
    while they were asked."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        before = [await desk.log.head() for desk in desks.values()]
        idle = all([await desk.settled() for desk in desks.values()])
        if idle and before == [await desk.log.head() for desk in desks.values()]:
            return
        await asyncio.sleep(0.05)


class FleetCalls(LocalCalls):
    """Calls to wherever a context runs."""

    def __init__(self, here: LocalCalls, handlers: Mapping[type[Message], Handle], fleet: Fleet) -> None:
        super().__init__(handlers)
        self._here, self._remote, self._elsewhere = here, fleet.remote, frozenset(fleet.contexts)

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        return await (self._remote if context_of(type(message)) in self._elsewhere else self._here)(message)


class Purges:
    """Tells the edges of other processes which answers and identities that they keep are out of date; what comes within a moment goes together.
    What is lost on the way ages by itself."""

    def __init__(self, name: str, contexts: Collection[str], remote: RemoteCalls) -> None:
        self._name, self._contexts, self._remote = name, contexts, remote
        self._tags: set[str] = set()
        self._waiting = asyncio.Event()

    def __call__(self, *tags: str) -> None:
        self._tags.update(tags)
        self._waiting.set()

    async def run(self) -> None:
        while True:
            await self._waiting.wait()
            await asyncio.sleep(TOGETHER)
            tags, self._tags = tuple(self._tags), set()
            self._waiting.clear()
            keepers = self._contexts if any(tag.startswith(SESSION) for tag in tags) else ("web",)
            await self._remote.tell_all({*keepers, "gateway", self._name}, PurgeAnswers(tags), Link(1, self._name, time.monotonic() + TOLD))


class Faces:
    """Who stands behind a token, as the user context said a moment ago. A session that has ended lives on here for two seconds, unless this is told.
    `learn` asks for the keys of signed tokens: one that none of them has signed is asked about nowhere."""

    def __init__(self, authenticate: Authenticate, learn: Learn) -> None:
        self._authenticate, self._learn = authenticate, learn
        self._checker: Checker | None = None
        self._learned = -LEARNED
        self._known: OrderedDict[str, tuple[float, Identity]] = OrderedDict()

    def forget(self, tags: Iterable[str]) -> None:
        """Sessions that have ended or changed, each by a tag with its token's SHA-256; other tags mean nothing here."""
        for tag in tags:
            self._known.pop(tag.removeprefix(SESSION), None)

    def forget_all(self) -> None:
        self._known.clear()

    async def __call__(self, token: str) -> Identity | None:
        key = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        until, identity = self._known.get(key, (0.0, None))
        if until > time.monotonic():
            return identity
        self._known.pop(key, None)
        identity = await self._authenticate(token) if await self._may_be_ours(token) else None
        if identity is not None:
            self._known[key] = time.monotonic() + RECOGNISED, identity
            if len(self._known) > FACES:
                self._known.popitem(last=False)
        return identity

    async def _may_be_ours(self, token: str) -> bool:
        """Whether it is signed by one of the keys, or is of another kind: the user context knows."""
        if token.count(".") != 2:
            return True
        checker = self._checker
        age = time.monotonic() - self._learned
        if checker is None or age > LEARNED or (age > AGAIN and not checker.knows(token)):
            self._learned = time.monotonic()
            checker = self._checker = await self._learn()
        try:
            checker.read(token, ACCESS)
        except BadToken:
            return False
        return True
