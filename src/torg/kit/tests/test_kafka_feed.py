"""A consumer's supply from a real Kafka: in order, from where the store says, through rebalances and restarts, and never past what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from torg.engines.port import Place
from torg.kit.bus.kafka import Kafka, answer
from torg.kit.bus.kafka_wire import topic
from torg.kit.messages import Meta
from torg.kit.testing.kafka import connected, feeding, new_context, row, send, taken
from torg.kit.tests.messages import REGISTRY, Put, WasPut

pytestmark = pytest.mark.slow


@pytest.fixture
async def kafka(broker: tuple[Place | None, str]) -> AsyncIterator[Kafka]:
    async with connected(broker[1]) as kafka:
        yield kafka


async def test_row_comes_as_it_was_sent(kafka: Kafka):
    context = await new_context(kafka)
    meta = Meta("order/1/1", "maria", "r-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    sent = row(context, "sneakers", 1, WasPut("кроссовки", 7), meta)
    await send(kafka, [sent])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        [came] = await taken(feed, 1)
    assert (came.id, came.context, came.stream, came.version, came.message, came.meta, came.at) == (
        sent.id, context, "sneakers", 1, sent.message, meta, sent.at,
    )  # fmt: skip


async def test_rows_of_a_stream_come_in_order(kafka: Kafka):
    context = await new_context(kafka)
    await send(kafka, [row(context, f"s{n % 7}", n // 7 + 1, WasPut("s", n)) for n in range(700)])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        rows = await taken(feed, 700)
    for stream in {row.stream for row in rows}:
        assert [row.version for row in rows if row.stream == stream] == list(range(1, 101))
    assert len(rows) == 700


async def test_the_stores_position_wins_over_the_groups(kafka: Kafka):
    context, stored = await new_context(kafka, 1), {}
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 11)])
    async with feeding(kafka, context, REGISTRY, [WasPut], name="turned-back") as feed:
        assert len(await taken(feed, 10)) == 10
    stored[f"{context}/0"] = 6
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, "turned-back") as feed:
        assert [row.version for row in await taken(feed, 4)] == [7, 8, 9, 10]
