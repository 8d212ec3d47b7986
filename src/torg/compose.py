"""The composition root: a topology and settings become a running application. The only importer of contexts' modules."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from torg import topology
from torg.acquirer.beside import PREFIX, Asgi, beside
from torg.fleet import purging, wiring
from torg.kit import values
from torg.kit.access import Access
from torg.kit.auth import Authenticate
from torg.kit.beside import Beside
from torg.kit.bus import Failures
from torg.kit.calls import Call, Handle, LocalCalls, LoopbackCalls
from torg.kit.chain import Chained
from torg.kit.dpop import Proofs
from torg.kit.http import App, Route
from torg.kit.http.admission import Admission
from torg.kit.http.cache import ResponseCache
from torg.kit.http.cookies import is_secure
from torg.kit.http.operations import Describe, operations_routes
from torg.kit.log import Log
from torg.kit.messages import Message, Registry, context_of
from torg.kit.module import Check, Kit, Module
from torg.kit.operations import Desk
from torg.kit.policy import BadPolicy
from torg.kit.rpc.door import Door, Front, either
from torg.kit.rpc.fleet import Faces, Fleet, FleetCalls, until_settled
from torg.kit.secrets import kept_secret
from torg.kit.settings import BadSettings, Settings
from torg.kit.shards import Shards, named
from torg.kit.sql.committer import Committer
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.opening import open_database, shards_of
from torg.kit.store import Store
from torg.kit.tasks import Supervisor
from torg.kit.values import Clock, NewId, Randomness

if TYPE_CHECKING:
    from torg.acquirer.app import Acquirer
    from torg.contexts.gateway.module import Entrance
    from torg.kit.bus.kafka import Kafka
    from torg.kit.http.sharing import Sharing

CONTEXTS = Path(__file__).parent / "contexts"
KEPT_BESIDE = ("catalog", "analytics")
"""Contexts that may keep something in engines besides their records."""


@dataclass(frozen=True)
class World:
    """What a process takes from outside: replaced in tests and simulations. `disk` makes what waits for the disk. `second_look`: seconds until an audit looks
    again at what disagrees, which may be in the middle of changing."""

    clock: Clock = values.utc_now
    new_id: NewId = values.new_id
    randomness: Randomness = values.randomness
    disk: Callable[[], Committer] = Committer
    second_look: float = 0.5


def copier(context: str) -> Beside:
    """How what a context keeps beside its records gets into backups."""
    made: Beside = importlib.import_module(f"torg.contexts.{context}.module").beside()
    return made


@dataclass
class Running:
    """A composed application. `http` answers requests; `close` ends everything in order."""

    settings: Settings
    http: App
    call: LocalCalls
    desks: dict[str, Desk]
    modules: list[Module] = field(default_factory=list)
    stores: dict[str, Store] = field(default_factory=dict)
    shards: dict[str, Shards] = field(default_factory=dict)
    supervisor: Supervisor = field(default_factory=Supervisor)
    acquirer: Acquirer | None = None
    committer: Committer = field(default_factory=Committer)
    registry: Registry = field(default_factory=lambda: Registry(()))
    fleet: Fleet | None = None
    door: Door | None = None
    front: Front | None = None
    kafka: Kafka | None = None
    sharing: Sharing | None = None
    ending: bool = False
    entrance: Entrance | None = None

    @property
    def asgi(self) -> Asgi:
        """What the process's own port serves; in a fleet just what other processes may ask, and the shop where the gateway has no other port."""
        if self.door is None:
            return self.entrance.before(self.shop) if self.entrance else self.shop
        return either(self.front, self.door) if self.front else self.door

    @property
    def shop(self) -> Asgi:
        """All there is to see here: the shop, and the sandbox acquirer beside it."""
        return beside(self.http, self.acquirer.http) if self.acquirer else self.http

    async def settle(self, seconds: float = 60) -> None:
        """Waits until every consumer here has handled what it wants of the logs, as long as that takes at most."""
        await until_settled(self.desks, seconds)

    async def close(self) -> None:
        """Streams end, tasks stop at their next await, stores finish their commits."""
        await self.http.close()
        if self.fleet:
            self.fleet.waiting.end()
        await self.supervisor.close()
        for module in reversed(self.modules):
            await module.close()
        for store in self.stores.values():
            await store.database.close()
        self.committer.close()
        if self.acquirer:
            await self.acquirer.close()
        if self.entrance:
            await self.entrance.close()
        if self.fleet:
            await self.fleet.close()
        if self.kafka:
            await self.kafka.close()
        if self.sharing:
            await self.sharing.close()


def registry(contexts: Sequence[str] = topology.CONTEXTS) -> Registry:
    """All messages there are."""
    return Registry(_contracts(contexts))


async def compose(settings: Settings, contexts: Sequence[str] = topology.ALL, world: World | None = None, fleet: Fleet | None = None) -> Running:
    """Opens the stores, brings them up to date, builds the contexts and wires them together; nothing runs yet. What runs in other processes is asked
    through the `fleet`."""
    world = world or World()
    entrance = importlib.import_module(f"torg.contexts.{topology.GATEWAY}.module") if fleet is None or topology.GATEWAY in contexts else None
    declared = entrance.load(settings.gateway, (*topology.CONTEXTS, topology.SANDBOX)) if entrance else None
    settings = msgspec.structs.replace(settings, public_url=settings.public_url or f"http://{settings.host}:{settings.port}")
    sandbox = await _open_sandbox(settings, world) if fleet is None or topology.SANDBOX in contexts else None
    if not settings.acquirer_url:
        settings = msgspec.structs.replace(settings, acquirer_url=inside(settings) + PREFIX, acquirer_secret=_sandbox_secret(settings, world))
    handlers: dict[type[Message], Handle] = {}
    here = (LoopbackCalls if settings.calls == "loopback" else LocalCalls)(handlers)
    call = FleetCalls(here, handlers, fleet) if fleet else here
    sharing = open_sharing(settings, contexts, world)
    cache = (sharing.cache if sharing else ResponseCache()) if settings.response_cache else None
    secret = fleet_secret(settings, world).encode()
    faces = wiring.authenticating(call, fleet)
    if sharing and isinstance(faces, Faces):
        sharing.recognise(faces)
    http = App(
        world.clock, world.new_id, faces, cache, wiring.auditing(call, contexts, fleet), secret,
        sharing.keys if sharing else None, Admission.of_this_loop(), _access(settings), is_secure(settings.public_url),
        proofs=Proofs(settings.public_url, world.clock, sharing.redis if sharing else None),
    )  # fmt: skip
    app = Running(
        settings, http, call, {}, acquirer=sandbox, committer=world.disk(), registry=registry(), fleet=fleet, kafka=open_kafka(settings), sharing=sharing
    )  # fmt: skip
    try:
        for context in (context for context in contexts if context in topology.CONTEXTS):
            for module in await _build(context, app, world):
                handlers.update(module.handlers)
                app.modules.append(module)
    except BaseException:
        await app.close()
        raise
    for module in app.modules:
        for owner, routes in groupby(module.routes, key=lambda route: _owner(route, module.name)):
            http.add(routes, _finder(handlers, Chained(call, module.name, edge=True)), app.shards.get(owner) or app.stores.get(owner))
        http.problem_page = module.problem_page or http.problem_page
    if entrance:
        app.entrance = entrance.open_door(
            declared, settings, Chained(call, topology.GATEWAY), faces, sharing.redis if sharing else None, world.clock, world.new_id, world.randomness,
            http.admission, lambda: http.problem_page, fleet, purging.SOURCES,
        )  # fmt: skip
    checks = _checks(app) | wiring.needs(contexts, fleet) | ({"process": _staying(app)} if fleet else {})
    http.add(operations_routes(http, app.desks, app.supervisor, checks, _describe(app), partial(topology.spares, contexts)), _finder(handlers, call))
    app.door = _door(app, here, faces, fleet) if fleet else None
    if fleet and entrance:
        app.front = entrance.build(app.shop, contexts, fleet, world.new_id, http.admission, app.entrance)
    elif entrance and set(topology.ALL) <= set(contexts) and (faults := entrance.unserved(declared, [route.path for route in http.routes])):
        await app.close()
        raise BadSettings("TORG_GATEWAY is wrong:\n  " + "\n  ".join(faults))
    return app


def _door(app: Running, here: LocalCalls, faces: Faces | Authenticate, fleet: Fleet) -> Door:
    """What other processes come through."""
    keepers = [keeper.purge for keeper in (app.http.cache, app.entrance) if keeper]
    return Door(app.shop, wiring.serving(here, app.http, faces, app.desks, app.registry, app.settings.public_url, fleet, keepers), fleet.identities)


def _access(settings: Settings) -> Access:
    """Who may do what: as the shop's own policy has it, or another one's. Raises BadSettings."""
    try:
        return Access.read(Path(settings.policy)) if settings.policy else Access.of_the_shop()
    except BadPolicy as error:
        raise BadSettings(f"TORG_POLICY: {error}") from error


def fleet_secret(settings: Settings, world: World) -> str:
    """What the contexts of a shop share: from the settings, else made once and kept in the data folder."""
    return settings.secret or kept_secret(Path(settings.data) / "secret", world.randomness)


def _describe(app: Running) -> Describe:
    return wiring.describing(app.http, app.registry, app.settings.public_url, app.fleet)


async def _open_sandbox(settings: Settings, world: World) -> Acquirer | None:
    """The sandbox acquirer, unless the settings name another one. It keeps its own folder, and only HTTP passes between it and the shop."""
    if settings.acquirer_url:
        return None
    from torg.acquirer.app import open_acquirer

    folder, secret = Path(settings.data) / "acquirer", _sandbox_secret(settings, world)
    webhooks = f"{inside(settings)}/api/v1/payments/webhooks/sandbox"
    return await open_acquirer(folder, secret, settings.public_url, webhooks, world.clock, world.new_id, settings.sync)


def _sandbox_secret(settings: Settings, world: World) -> str:
    return settings.acquirer_secret or kept_secret(Path(settings.data) / "acquirer" / "secret", world.randomness)


def inside(settings: Settings) -> str:
    """Where this process reaches the shop's own port: the public address may be a proxy's that can't be reached from here."""
    if settings.front:
        return settings.front.rstrip("/")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 compared, not bound
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def _build(context: str, app: Running, world: World) -> list[Module]:
    """A context's module; of one that is spread over several databases, one for each: what others ask goes through the first, which finds out whose it is."""
    count = shards_of(app.settings, context)
    if count == 1:
        return [await _build_part(context, 0, app, world)]
    parts = [await _build_part(context, shard, app, world) for shard in range(count)]
    if parts[0].sharding is None:
        raise BadSettings(f"TORG_{context.upper()}_DB names {count} databases, but what {context} keeps can't be spread: only orders can")
    stores = [app.stores[named(context, shard)] for shard in range(count)]
    app.shards[context] = shards = Shards(stores, parts[0].sharding)
    await shards.map.start(occupied=await stores[0].log.head() > 0)
    handlers, routes = shards.handlers([part.handlers for part in parts]), shards.routes([part.routes for part in parts])
    return [
        replace(
            part, name=named(context, shard), handlers={} if shard else handlers, routes=() if shard else routes,
            consumers=[shards.consumer(consumer, shard) for consumer in part.consumers],
            jobs=[replace(job, name=named(job.name, shard)) for job in part.jobs],
        )
        for shard, part in enumerate(parts)
    ]  # fmt: skip


async def _build_part(context: str, shard: int, app: Running, world: World) -> Module:
    part = named(context, shard)
    folder = Path(app.settings.data) / part
    folder.mkdir(parents=True, exist_ok=True)
    database = await open_database(app.settings, context, folder, app.committer, shard)
    own = CONTEXTS / context / "migrations"
    await migrate(database, [KIT, own] if own.is_dir() else [KIT], world.clock)
    store = Store(context, database, Log(context, database, app.registry), world.clock)
    app.stores[part] = store
    app.desks[part] = Desk(part, store, Failures(store, app.registry))
    call, from_pages, purge = Chained(app.call, context), Chained(app.call, context, edge=True), wiring.purging(app.http.cache, app.fleet)
    kit = Kit(
        app.settings, world.clock, world.new_id, world.randomness, world.second_look, call, from_pages, store, folder, app.settings.public_url, purge,
        {**app.desks, **app.fleet.desks(context)} if app.fleet else app.desks, app.http.access, _describe(app), app.sharing.redis if app.sharing else None,
        fleet_secret(app.settings, world), shard, _former(context, app),
    )  # fmt: skip
    built: Module = importlib.import_module(f"torg.contexts.{context}.module").build(kit)
    return built


def _former(context: str, app: Running) -> Callable[[str], Awaitable[Sequence[Store]]] | None:
    if shards_of(app.settings, context) == 1:
        return None

    async def former(user_id: str) -> Sequence[Store]:
        return await app.shards[context].former(user_id)

    return former


def _owner(route: Route, context: str) -> str:
    """The context that handles a route's message: its store files the answers to Idempotency-Keys, in the commit of their effect."""
    return context_of(route.message) if route.message and not route.endpoint else context


def _contracts(contexts: Sequence[str]) -> list[ModuleType]:
    return [importlib.import_module(f"torg.contexts.{context}.contracts") for context in contexts if any((CONTEXTS / context).glob("contracts*"))]


def _finder(handlers: Mapping[type[Message], Handle], call: Call) -> Callable[[type[Message]], Handle]:
    def find(kind: type[Message]) -> Handle:
        return handlers.get(kind) or call

    return find


def _checks(app: Running) -> dict[str, Check]:
    return {f"{module.name}.{name}": check for module in app.modules for name, check in module.checks.items()}


def _staying(app: Running) -> Check:
    """A process that is on its way out is asked by nobody any more."""

    async def check() -> str:
        return "ends just now" if app.ending else ""

    return check


def open_sharing(settings: Settings, contexts: Sequence[str], world: World) -> Sharing | None:
    """What TORG_REDIS lets this process share with others, if it names one. Raises BadSettings."""
    if not settings.redis:
        return None
    from torg.kit.http.sharing import Sharing  # the client is loaded where it is used

    try:
        return Sharing(settings.redis, "+".join(sorted(contexts)), world.new_id)
    except ValueError as error:
        raise BadSettings(f"TORG_REDIS: {error}") from error


def open_kafka(settings: Settings) -> Kafka | None:
    """The brokers that TORG_BUS names, if any. Raises BadSettings."""
    if not settings.bus:
        return None
    if (scheme := settings.bus.partition(":")[0]) != "kafka":
        raise BadSettings(f"TORG_BUS begins with {scheme}:, known are kafka:// and nothing at all (the logs themselves)")
    from torg.kit.bus.kafka import Kafka  # the client is loaded where it is used

    try:
        return Kafka(settings.bus)
    except ValueError as error:
        raise BadSettings(f"TORG_BUS: {error}") from error
