"""Kafka's topics as they are stated: made and altered to that, never in a way that would break the order of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from torg.kit.bus.kafka import PATIENCE, Kafka, answer
from torg.kit.bus.kafka_wire import DEAD, topic
from torg.kit.errors import Unavailable

PARTITIONS = 6
"""How many instances of a consumer can share a topic, unless it is stated otherwise."""
DAYS = 6
"""How long records stay, and half a day more: the log is the truth, so just long enough for a consumer that was away. Consumers remember the ids of what they
handled for longer than that, so that nothing takes effect twice even when all of it comes again. Erased personal data may stay here for as long."""
DEAD_DAYS = 30
LARGEST = 1 << 20  # bytes of a batch as the broker takes it
_CONFIGURED = {"cleanup.policy": "delete", "compression.type": "lz4", "max.message.bytes": str(LARGEST), "segment.ms": str(12 * 3_600_000)}


class TopicsRefused(Exception):
    """What is stated cannot be had without harm: a sentence for each topic."""


@dataclass(frozen=True)
class Topic:
    """A topic as it is to be."""

    name: str
    partitions: int
    days: int

    def configuration(self, replicas: int) -> dict[str, str]:
        """An acknowledged record is on all replicas but one at least."""
        kept = str(int(timedelta(days=self.days).total_seconds() * 1000))
        return _CONFIGURED | {"retention.ms": kept, "min.insync.replicas": str(max(replicas - 1, 1))}


@dataclass(frozen=True)
class Found:
    """A topic as it is."""

    name: str
    partitions: int
    replicas: int
    configuration: Mapping[str, str] = field(default_factory=dict)


def stated(partitions: Mapping[str, int]) -> tuple[Topic, ...]:
    """A topic for each context, with so many partitions, and the one for dead letters."""
    return (*(Topic(topic(context), count, DAYS) for context, count in partitions.items()), Topic(DEAD, 1, DEAD_DAYS))


async def apply(kafka: Kafka, topics: Sequence[Topic], replicas: int = 1) -> list[str]:
    """Makes and alters topics until they are as stated, and says what it changed: nothing the second time. Raises TopicsRefused, and then nothing was
    changed, when partitions differ; Unavailable."""
    there = await look(kafka, [topic.name for topic in topics])
    refuse_other_partitions(topics, there)
    told = await make(kafka, [topic for topic in topics if topic.name not in there], replicas)
    for each in topics:
        if found := there.get(each.name):
            told += await _alter(kafka, found, each.configuration(replicas))
            if found.replicas != replicas:
                told.append(f"{each.name} has {found.replicas} replicas, not {replicas}: Kafka's own kafka-reassign-partitions moves them")
    return told


def refuse_other_partitions(topics: Sequence[Topic], there: Mapping[str, Found]) -> None:
    """Raises TopicsRefused: with another number of partitions a stream's rows would go to two of them, and no longer come in order."""
    faults = [
        f"{topic.name} has {found.partitions} partitions, {topic.partitions} are stated: with another number, keys would go to other partitions and a "
        f"stream's rows no longer come in order. State {found.partitions}, or end its relay and consumers, delete the topic and have both begin anew."
        for topic in topics
        if (found := there.get(topic.name)) and found.partitions != topic.partitions
    ]
    if faults:
        raise TopicsRefused("\n".join(faults))


async def look(kafka: Kafka, names: Sequence[str]) -> dict[str, Found]:
    """Those of these topics that exist. Raises Unavailable."""
    try:
        metadata = await asyncio.to_thread(kafka.admin.list_topics, timeout=PATIENCE)
    except KafkaException as error:
        raise Unavailable(f"Kafka: {error.args[0].str()}") from error
    known = {name: metadata.topics[name].partitions for name in names if name in metadata.topics}
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in known]
    configured = kafka.admin.describe_configs(resources, request_timeout=PATIENCE) if resources else {}
    entries: dict[str, dict[str, Any]] = {resource.name: await answer(told) for resource, told in configured.items()}
    return {
        name: Found(
            name,
            len(partitions),
            min(len(one.replicas) for one in partitions.values()),
            {entry.name: entry.value for entry in entries[name].values()},
        )
        for name, partitions in known.items()
    }


async def make(kafka: Kafka, topics: Sequence[Topic], replicas: int) -> list[str]:
    """Makes those of these that another process does not make at the same time. Raises Unavailable."""
    new = [NewTopic(each.name, each.partitions, replicas, config=each.configuration(replicas)) for each in topics]
    made = kafka.admin.create_topics(new, request_timeout=PATIENCE) if new else {}
    told = []
    for each in topics:
        try:
            await answer(made[each.name])
        except Unavailable as refused:
            if not isinstance(refused.__cause__, KafkaException) or refused.__cause__.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        else:
            told.append(f"{each.name} is new: {each.partitions} partitions, {replicas} replicas, {each.days} days")
    return told


async def _alter(kafka: Kafka, found: Found, configuration: Mapping[str, str]) -> list[str]:
    changes = {name: value for name, value in configuration.items() if found.configuration.get(name) != value}
    if changes:
        entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in changes.items()]
        resource = ConfigResource(ResourceType.TOPIC, found.name, incremental_configs=entries)
        for told in kafka.admin.incremental_alter_configs([resource], request_timeout=PATIENCE).values():
            await answer(told)
    return [f"{found.name}: {name} is {value} now, was {found.configuration.get(name)}" for name, value in changes.items()]
