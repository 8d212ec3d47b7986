"""What a composed application does by itself: consumers, jobs and, where there are brokers, relays, each under supervision."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from torg.compose import Running
from torg.kit.bus import BusConsumer, Consumer, LogFeed
from torg.kit.bus.feed import Feed
from torg.kit.calls import undisturbed
from torg.kit.log import Log
from torg.kit.rpc.logs import RemoteLog
from torg.kit.settings import process_of
from torg.kit.shards import context_of_part
from torg.kit.store import Store
from torg.kit.tasks import Job
from torg.kit.values import stamp

if TYPE_CHECKING:
    from torg.kit.bus.kafka import Kafka
    from torg.kit.bus.relay import Relay

REMEMBERED_DAYS: Final = 7  # how long processed message ids are kept


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
    if app.entrance:
        app.entrance.start(app.supervisor)
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


def _in_turn(job: Job, store: Store) -> Job:
    """A job of records that several processes share: done by the one that holds its lease, and anew where its transactions and others' interleave."""

    async def run() -> None:
        if job.everywhere or await store.database.lease(job.name, job.lease):
            await undisturbed(job.run, job.name, store.database.lane)
        else:
            await asyncio.sleep(job.lease / 3)

    return replace(job, run=run)


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
