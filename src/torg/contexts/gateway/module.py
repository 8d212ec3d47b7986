"""The gateway: the front door of every shop, and what listens at its address when its contexts run in several processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from rich.table import Table

from torg.contexts.admin.contracts import ListNetworkRules, NetworkRules
from torg.contexts.gateway import model
from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.adapters.answers_redis import RedisAnswers
from torg.contexts.gateway.adapters.declared_toml import load
from torg.contexts.gateway.adapters.front_asgi import Asgi, Gateway
from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.adapters.keeping_asgi import Keeper
from torg.contexts.gateway.adapters.networks import Lists, Proxies, shared
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.adapters.purges_log import PURGED, Follower
from torg.contexts.gateway.adapters.rewriting_asgi import Rewriting
from torg.contexts.gateway.adapters.services_http import Beside, Services
from torg.contexts.gateway.adapters.told_rich import told
from torg.contexts.gateway.model import Declared
from torg.contexts.gateway.model.paths import tree
from torg.contexts.gateway.model.rewriting import Rewrites
from torg.contexts.gateway.ports import Answers
from torg.kit.auth import Authenticate
from torg.kit.calls import Call
from torg.kit.countries import open_atlas
from torg.kit.http import Route
from torg.kit.http.admission import Admission
from torg.kit.http.app import ProblemPage
from torg.kit.http.cookies import is_secure
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.limits.ports import Limiter
from torg.kit.limits.shared import RedisLimiter
from torg.kit.redis import Redis
from torg.kit.rpc.bounds import Crowd
from torg.kit.rpc.fleet import Fleet
from torg.kit.settings import Settings
from torg.kit.tasks import Supervisor
from torg.kit.values import Clock, NewId, Randomness

__all__ = ["Declared", "Entrance", "build", "load", "open_door", "unserved"]
unserved = model.unserved


@dataclass(frozen=True)
class Entrance:
    """What every request from outside comes through. Of a fleet's gateway, `answers` are what it keeps of the others', and `follower` says what to forget."""

    declared: Declared
    limiter: Limiter | None
    lists: Lists
    proxies: Proxies | None
    authenticate: Authenticate
    new_id: NewId
    page: Callable[[], ProblemPage | None]
    address: str
    services: Services | None
    answers: Answers | None = None
    follower: Follower | None = None

    def start(self, supervisor: Supervisor) -> None:
        """Keeps up to date what it knows."""
        supervisor.start("gateway.networks", self.lists.run)
        if self.limiter:
            supervisor.start("gateway.slots", self.limiter.run)
        if self.answers and self.follower:
            supervisor.start("gateway.kept", self.answers.settle)
            self.follower.start(supervisor)

    def purge(self, *tags: str) -> None:
        """As told by the process whose answers they are."""
        if self.answers:
            PURGED.labels("message").inc(len(tags))
            self.answers.purge(*tags)

    def crowd(self) -> Crowd | None:
        """Those who may have a connection; a proxy as many as there are, for it has everybody's. None where nothing is limited."""
        if self.limiter is None:
            return None
        bounds, proxies = self.declared.bounds, self.proxies
        return Crowd(bounds.connections, bounds.connections_per_address, lambda client: None if proxies and client in proxies else shared(client))

    def told(self, served: Sequence[Route]) -> Sequence[Table]:
        return told(self.declared, served, self.limiter is not None)

    def before(self, inner: Asgi) -> Guard | Rewriting:
        """What answers outside, with `inner` behind it."""
        rewrites = Rewrites(self.declared.rewrites.values())
        guard = self._guard(inner)
        return Rewriting(guard, rewrites) if rewrites else guard

    async def end(self) -> None:
        """Ends what would go on without end at services."""
        if self.services is not None:
            await self.services.end()

    async def close(self) -> None:
        """Call when nothing is under way any more."""
        if self.services is not None:
            await self.services.close()

    def _guard(self, inner: Asgi) -> Guard:
        if self.services is not None:
            inner = Beside(inner, self.services, tree(self.declared.routes))
        return Guard(inner, self.declared, self.limiter, self.authenticate, self.lists, self.proxies, self.new_id, self.page, self.address)


def open_door(
    declared: Declared, settings: Settings, call: Call, authenticate: Authenticate, redis: Redis | None, clock: Clock, new_id: NewId,
    randomness: Randomness, queue: Admission | None, page: Callable[[], ProblemPage | None], fleet: Fleet | None = None,
    followed: Collection[str] = (),
) -> Entrance:  # fmt: skip
    """`queue` is the process's own: what is handed on waits in it with what is answered here; `fleet` that of the gateway, whose logs of
    `followed` tell what changes: whoever has none keeps its own answers at its edge. Raises BadSettings."""

    async def ruled() -> NetworkRules:
        return await call(ListNetworkRules())

    limiter = (RedisLimiter(redis, new_id()) if redis else MemoryLimiter()) if settings.limits else None
    lists = Lists(ruled, declared.countries, open_atlas(settings.geo), clock)
    most = declared.bounds.requests_per_context
    services = Services(declared.services, clock, new_id, randomness, queue, most) if declared.services else None
    door = Entrance(declared, limiter, lists, Proxies.named(settings.proxies), authenticate, new_id, page, settings.public_url, services)
    if fleet is None or not settings.response_cache:
        return door
    room = declared.bounds.kept_bytes
    answers: Answers = RedisAnswers(redis, room) if redis else MemoryAnswers(room)
    return replace(door, answers=answers, follower=Follower(fleet.ask, answers, [context for context in fleet.contexts if context in followed]))


def build(shop: Asgi, here: Collection[str], fleet: Fleet, new_id: NewId, queue: Admission | None, door: Entrance) -> Guard | Rewriting:
    """`queue` is the process's own: what is handed on waits in it with what is answered here."""
    declared = door.declared
    proxy = Proxy(fleet, new_id, queue, most=declared.bounds.requests_per_context)
    keeps = tree({path: keep for path, keep in declared.kept.items() if keep.on})
    keeper = Keeper(proxy, keeps, door.answers, door.follower.hearing, is_secure(door.address)) if door.answers and door.follower else None
    return door.before(Gateway(shop, here, tree(declared.routes), proxy, keeper))
