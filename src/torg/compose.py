"""The composition root: a topology and settings become a running application. The only importer of contexts' modules."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import msgspec

from torg import topology
from torg.acquirer.beside import PREFIX, Asgi, beside
from torg.fleet import wiring
from torg.kit import values
from torg.kit.bus import BusConsumer, Consumer, Failures, LogFeed
from torg.kit.bus.feed import Feed
from torg.kit.calls import Handle, LocalCalls, LoopbackCalls, undisturbed
from torg.kit.chain import Chained
from torg.kit.http import App, Route
from torg.kit.http.admission import Admission
from torg.kit.http.cache import ResponseCache
from torg.kit.http.operations import Describe, operations_routes
from torg.kit.log import Log
from torg.kit.messages import Message, Registry, context_of
from torg.kit.module import Check, Kit, Module
from torg.kit.operations import Desk, DeskView
from torg.kit.rpc.door import Door, Front, either
from torg.kit.rpc.fleet import Faces, Fleet, FleetCalls, until_settled
from torg.kit.rpc.logs import RemoteLog
from torg.kit.secrets import kept_secret
from torg.kit.settings import BadSettings, Settings, process_of
from torg.kit.shards import Shards, context_of_part, named
from torg.kit.sql.committer import Committer
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.opening import open_database, shards_of
from torg.kit.store import Store
from torg.kit.tasks import Job, Supervisor
from torg.kit.values import Clock, NewId, Randomness, stamp

if TYPE_CHECKING:
    from torg.acquirer.app import Acquirer
    from torg.kit.bus.kafka import Kafka
    from torg.kit.bus.relay import Relay
    from torg.kit.http.sharing import Sharing

CONTEXTS = Path(__file__).parent / "contexts"
REMEMBERED_DAYS = 7  # how long processed message ids are kept


@dataclass(frozen=True)
class World:
    """What a process takes from outside: replaced in tests and simulations. `disk` makes what waits for the disk."""

    clock: Clock = values.utc_now
    new_id: NewId = values.new_id
    randomness: Randomness = values.randomness
    disk: Callable[[], Committer] = Committer


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

    @property
    def asgi(self) -> Asgi:
        """What the process's own port serves; in a fleet just what other processes may ask, and the shop where the gateway has no other port."""
        if self.door is None:
            return self.shop
        return either(self.front, self.door) if self.front else self.door

    @property
    def shop(self) -> Asgi:
        """All there is to see here: the shop, and the sandbox acquirer beside it."""
        return beside(self.http, self.acquirer.http) if self.acquirer else self.http

    @property
    def all_desks(self) -> dict[str, DeskView]:
        """Those of other processes too."""
        return {**self.desks, **(self.fleet.desks() if self.fleet else {})}

    async def settle(self, seconds: float = 60) -> None:
        """Waits until every consumer has handled what it wants of the logs, as long as that takes at most."""
        await until_settled(self.all_desks, seconds)

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
        world.clock, world.new_id, faces, cache, wiring.auditing(call, contexts, fleet), secret, sharing.keys if sharing else None, Admission.of_this_loop()
    )
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
            http.add(routes, _finder(handlers, call), app.shards.get(owner) or app.stores.get(owner))
        http.problem_page = module.problem_page or http.problem_page
    checks = _checks(app) | wiring.needs(contexts, fleet) | ({"process": _staying(app)} if fleet else {})
    http.add(operations_routes(http, app.desks, app.supervisor, checks, _describe(app), partial(topology.spares, contexts)), _finder(handlers, call))
    if fleet:
        app.door = Door(app.shop, wiring.serving(here, http, faces, app.desks, app.registry, app.settings.public_url, fleet), fleet.gateway)
        if topology.GATEWAY in contexts:
            gateway = importlib.import_module(f"torg.contexts.{topology.GATEWAY}.module")
            app.front = gateway.build(app.shop, contexts, fleet, world.new_id, http.admission)
    return app


def fleet_secret(settings: Settings, world: World) -> str:
    """What the processes of a shop share: from the settings, else made once and kept in the data folder."""
    return settings.secret or kept_secret(Path(settings.data) / "secret", world.randomness)


def _describe(app: Running) -> Describe:
    return wiring.describing(app.http, app.registry, app.settings.public_url, app.fleet)


async def start(app: Running) -> None:
    """Runs consumers and jobs of all contexts, each under supervision."""
    logs: dict[str, Log | RemoteLog] = {name: store.log for name, store in app.stores.items()}
    if app.fleet:
        app.fleet.start(app.supervisor)
        logs.update(app.fleet.logs)
        for desk in app.desks.values():
            desk.refresh = app.fleet.refresh
    if app.acquirer:
        app.acquirer.start(app.supervisor)
    topics = asyncio.Event()
    relays = _start_relays(app, app.kafka, topics) if app.kafka else {}
    if app.sharing:
        app.sharing.start(app.supervisor)
    for module in app.modules:
        await module.start()
    for module in app.modules:
        store, loopback = app.stores[module.name], app.settings.calls == "loopback"
        consumers = [BusConsumer(consumer, store, _feed(consumer, logs, app), app.registry, loopback) for consumer in module.consumers]
        app.desks[module.name].consumers = [*consumers, *module.followers, *relays.get(module.name, ())]
        app.desks[module.name].invariants = module.invariants
        for consumer in consumers:
            app.supervisor.start(consumer.name, _behind(topics, consumer.run) if app.kafka else consumer.run)
        for job in (*module.jobs, Job(f"{module.name}.forget", 3600, _forgetter(store))):
            app.supervisor.start_job(_in_turn(job, store) if store.database.shared else job)


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
        app.settings, world.clock, world.new_id, world.randomness, call, from_pages, store, folder, app.settings.public_url, purge,
        app.all_desks if app.fleet else app.desks, _describe(app), app.sharing.redis if app.sharing else None, shard, _former(context, app),
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
    return [importlib.import_module(f"torg.contexts.{context}.contracts") for context in contexts if (CONTEXTS / context / "contracts.py").exists()]


def _finder(handlers: Mapping[type[Message], Handle], call: LocalCalls) -> Callable[[type[Message]], Handle]:
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


def _in_turn(job: Job, store: Store) -> Job:
    """A job of records that several processes share: done by the one that holds its lease, and anew where its transactions and others' interleave."""

    async def run() -> None:
        if job.everywhere or await store.database.lease(job.name, job.lease):
            await undisturbed(job.run, job.name, store.database.lane)
        else:
            await asyncio.sleep(job.lease / 3)

    return replace(job, run=run)


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


def _start_relays(app: Running, kafka: Kafka, made: asyncio.Event) -> dict[str, tuple[Relay]]:
    """Sends the logs of this process to their topics, which are made first where they are missing: as soon as brokers answer, which the shop need not
    wait for."""
    from torg.kit.bus.relay import Relay
    from torg.topics import make_missing

    async def make() -> None:
        await make_missing(kafka, app.settings.bus_replicas)
        made.set()

    app.supervisor.start("topics", make)
    relays = {name: (Relay(store, kafka.producer, app.registry),) for name, store in app.stores.items()}
    for name, (relay,) in relays.items():
        app.supervisor.start(f"{name}.relay", _behind(made, relay.run))
    return relays


def _behind(event: asyncio.Event, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    async def later() -> None:
        await event.wait()
        await run()

    return later


def _feed(consumer: Consumer, logs: Mapping[str, Log | RemoteLog], app: Running) -> Feed:
    """Where a consumer's rows come from: Kafka, or the logs of this process and those that others let it read."""
    if app.kafka:
        from torg.kit.bus.kafka_feed import KafkaFeed

        return KafkaFeed(app.kafka, consumer.name, consumer.sources(), app.registry, process_of(app.settings))
    followed = {name: logs[name] for name in sorted(logs) if context_of_part(name) in consumer.sources()}
    return LogFeed(followed, looks=any(log.shared for log in followed.values()))


def _forgetter(store: Store) -> Callable[[], Awaitable[None]]:
    async def forget() -> None:
        """Drops what duplicates can no longer refer to: ids after a week, answers to keys after a day."""
        now = store.clock()
        await store.database.tend(now)
        async with store.transaction() as tx:
            await tx.execute("delete from consumed where at < :before", before=stamp(now - timedelta(days=REMEMBERED_DAYS)))
            await tx.execute("delete from answer where at < :before", before=stamp(now - timedelta(days=1)))

    return forget
