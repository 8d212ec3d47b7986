"""Topics are made and altered to what is stated, and never in a way that breaks the order of a stream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from torg.engines.port import Place
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.topics import Found, Topic, TopicsRefused, apply, look, refuse_other_partitions
from torg.kit.testing.kafka import connected
from torg.kit.testing.waiting import until


@pytest.fixture
async def kafka(broker: tuple[Place | None, str]) -> AsyncIterator[Kafka]:
    async with connected(broker[1]) as kafka:
        yield kafka


def test_an_acknowledged_record_survives_the_loss_of_a_broker():
    assert [Topic("torg.x", 1, 7).configuration(replicas)["min.insync.replicas"] for replicas in (1, 2, 3)] == ["1", "1", "2"]


@pytest.mark.parametrize("partitions", [3, 12])
def test_other_number_of_partitions_is_refused(partitions: int):
    with pytest.raises(TopicsRefused, match=f"torg.x has {partitions} partitions, 6 are stated: with another number, keys would go to other partitions"):
        refuse_other_partitions([Topic("torg.x", 6, 7)], {"torg.x": Found("torg.x", partitions, 1)})


@pytest.mark.slow
async def test_topics_are_made_once_and_then_altered_to_what_is_stated(kafka: Kafka):
    name = f"torg.shelf{secrets.token_hex(4)}"
    assert await apply(kafka, [Topic(name, 3, 7)]) == [f"{name} is new: 3 partitions, 1 replicas, 7 days"]
    assert await apply(kafka, [Topic(name, 3, 7)]) == []
    assert await apply(kafka, [Topic(name, 3, 2)]) == [f"{name}: retention.ms is 172800000 now, was 604800000"]

    async def altered() -> Found | None:  # the broker learns from its controller
        found = (await look(kafka, [name]))[name]
        return found if found.configuration["retention.ms"] == "172800000" else None

    found = await until(altered)
    assert (found.partitions, found.replicas) == (3, 1)
    assert {key: found.configuration[key] for key in ("cleanup.policy", "compression.type", "max.message.bytes", "retention.ms")} == {
        "cleanup.policy": "delete", "compression.type": "lz4", "max.message.bytes": "1048576", "retention.ms": "172800000",
    }  # fmt: skip


@pytest.mark.slow
async def test_refused_topics_leave_the_others_as_they_were(kafka: Kafka):
    names = [f"torg.shelf{secrets.token_hex(4)}" for _ in range(2)]
    await apply(kafka, [Topic(names[0], 3, 7)])
    with pytest.raises(TopicsRefused):
        await apply(kafka, [Topic(names[1], 3, 7), Topic(names[0], 4, 7)])
    assert (await look(kafka, names)).keys() == {names[0]}


@pytest.mark.slow
async def test_processes_that_start_together_make_the_same_topics_once(kafka: Kafka):
    name = f"torg.shelf{secrets.token_hex(4)}"
    told = await asyncio.gather(*(apply(kafka, [Topic(name, 3, 7)]) for _ in range(4)))
    assert sum(len(lines) for lines in told) == 1
