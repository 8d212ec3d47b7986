"""A real Kafka for tests, and what they need to send and take rows of topics of their own."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import asynccontextmanager

import pytest

from torg.engines.port import Place
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_feed import KafkaFeed
from torg.kit.bus.kafka_wire import DEAD, record, topic
from torg.kit.bus.topics import DAYS, DEAD_DAYS, Topic, apply
from torg.kit.messages import Envelope, Message, Meta, Registry
from torg.kit.testing.engines import served
from torg.kit.values import utc_now


@pytest.fixture(scope="session")
def broker() -> Iterator[tuple[Place | None, str]]:
    """The engine's place (None when somebody else runs it) and its URL. Import it into a conftest, or into the module that needs it."""
    with served("kafka") as (place, environment):
        yield place, environment["TORG_BUS"]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Kafka]:
    kafka = Kafka(url, "torg-tests")
    try:
        yield kafka
    finally:
        await kafka.close()


async def new_context(kafka: Kafka, partitions: int = 3) -> str:
    """The name of a context that nobody else has, with its topic and the one for dead letters."""
    context = f"shelf{secrets.token_hex(4)}"
    await apply(kafka, [Topic(topic(context), partitions, DAYS), Topic(DEAD, 1, DEAD_DAYS)])
    return context


def row(context: str, stream: str, version: int, message: Message, meta: Meta | None = None) -> Envelope:
    """A row as it stands in a context's log."""
    return Envelope(version, f"{context}/{stream}/{version}", context, stream, version, message, meta or Meta(), utc_now())


async def send(kafka: Kafka, rows: Sequence[Envelope]) -> None:
    await kafka.producer.send([record(each) for each in rows])


@asynccontextmanager
async def feeding(
    kafka: Kafka,
    context: str,
    registry: Registry,
    kinds: Collection[type[Message]],
    stored: Mapping[str, int] | None = None,
    name: str = "",
    instance: str = "",
) -> AsyncIterator[KafkaFeed]:
    """An open feed; `stored` are the positions in its consumer's store."""
    feed = KafkaFeed(kafka, name or f"reader-{secrets.token_hex(4)}", [context], registry, instance)

    async def positions() -> Mapping[str, int]:
        return dict(stored or {})

    await feed.open(kinds, positions)
    try:
        yield feed
    finally:
        await feed.close()


async def taken(feed: KafkaFeed, count: int, stored: MutableMapping[str, int] | None = None, seconds: float = 60) -> list[Envelope]:
    """Takes rows until there are so many, and files the positions in `stored` as a consumer would."""
    rows: list[Envelope] = []
    until = time.monotonic() + seconds
    while len(rows) < count and time.monotonic() < until:
        for batch in await feed.take(0.5):
            rows += batch.rows
            if stored is not None:
                stored[batch.source] = batch.position
            feed.took(batch)
    return rows
