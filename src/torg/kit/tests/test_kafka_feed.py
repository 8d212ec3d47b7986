"""A consumer's supply from a real Kafka: in order, from where the store says, through rebalances and restarts, and never past what is missing."""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from structlog.testing import capture_logs

from torg.engines.port import Place
from torg.kit.bus.kafka import Kafka, answer
from torg.kit.bus.kafka_feed import KafkaFeed
from torg.kit.bus.kafka_member import DEAD_LETTERS, GAPS
from torg.kit.bus.kafka_wire import DEAD, Record, record, topic
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope, Meta
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


async def test_client_that_finds_no_broker_for_long_is_made_anew():
    async def positions() -> dict[str, int]:
        return {}

    feed = KafkaFeed(Kafka("kafka://127.0.0.1:1"), "lonely", ["shelf"], REGISTRY, long_away=0.5)
    await feed.open([WasPut], positions)
    with capture_logs() as told:
        async with asyncio.timeout(60):
            while not any(line["event"] == "a consumer asks Kafka with a new client" for line in told):
                with suppress(Unavailable):
                    await feed.take(0.1)
    await feed.close()


async def test_a_client_that_was_given_up_ends():
    """Else it would join the group again when brokers are back, under the name of its successor."""
    before = _clients()
    feed = KafkaFeed(Kafka("kafka://127.0.0.1:1"), "lonely", ["shelf"], REGISTRY, "lonely.0", long_away=0.2)
    gc.disable()
    try:
        await feed.open([WasPut], _nowhere)
        with capture_logs() as told:
            async with asyncio.timeout(60):
                while sum(line["event"] == "a consumer asks Kafka with a new client" for line in told) < 3:
                    with suppress(Unavailable):
                        await feed.take(0.1)
        await feed.close()
        async with asyncio.timeout(60):
            while _clients() > before:  # noqa: ASYNC110 threads of the client's library tell nobody
                await asyncio.sleep(0.05)
    finally:
        gc.enable()


def _clients() -> int:
    found = 0
    for thread in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended meanwhile
            found += (thread / "comm").read_text() == "rdk:main\n"
    return found


async def _nowhere() -> dict[str, int]:
    return {}


async def test_rows_of_a_stream_come_in_order(kafka: Kafka):
    context = await new_context(kafka)
    await send(kafka, [row(context, f"s{n % 7}", n // 7 + 1, WasPut("s", n)) for n in range(700)])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        rows = await taken(feed, 700)
    for stream in {each.stream for each in rows}:
        assert [each.version for each in rows if each.stream == stream] == list(range(1, 101))
    assert len(rows) == 700


async def test_the_stores_position_wins_over_the_groups(kafka: Kafka):
    context, stored = await new_context(kafka, 1), dict[str, int]()
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 11)])
    async with feeding(kafka, context, REGISTRY, [WasPut], name="turned-back") as feed:
        assert len(await taken(feed, 10)) == 10
    stored[f"{context}/0"] = 6
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, "turned-back") as feed:
        assert [each.version for each in await taken(feed, 4)] == [7, 8, 9, 10]


async def test_lost_group_offsets_change_nothing(kafka: Kafka):
    context, stored = await new_context(kafka, 1), dict[str, int]()
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 6)])
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, "forgotten") as feed:
        assert len(await taken(feed, 5, stored)) == 5
    await answer(kafka.admin.delete_consumer_groups(["torg.forgotten"])["torg.forgotten"])
    await send(kafka, [row(context, "s", 6, WasPut("s", 6))])
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, "forgotten") as feed:
        assert [each.version for each in await taken(feed, 1)] == [6]


async def test_without_a_stored_position_everything_comes_again(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 6)])
    for _ in range(2):
        async with feeding(kafka, context, REGISTRY, [WasPut], {}, "wiped") as feed:
            assert [each.version for each in await taken(feed, 5)] == [1, 2, 3, 4, 5]


async def test_position_that_has_expired_goes_on_with_the_oldest_record_and_says_so(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, f"s{n}", 1, WasPut("s", n)) for n in range(20)])
    await answer(kafka.admin.delete_records([TopicPartition(topic(context), 0, 15)])[TopicPartition(topic(context), 0)])
    with capture_logs() as told:
        async with feeding(kafka, context, REGISTRY, [WasPut], {f"{context}/0": 3}) as feed:
            assert [each.stream for each in await taken(feed, 5)] == [f"s{n}" for n in range(15, 20)]
    assert [(line["source"], line["position"]) for line in told if "not in the topic" in line["event"]] == [(f"{context}/0", 3)]


async def test_position_behind_the_end_of_a_new_topic_goes_on_with_its_oldest_record(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 4)])
    async with feeding(kafka, context, REGISTRY, [WasPut], {f"{context}/0": 900}) as feed:
        assert [each.version for each in await taken(feed, 3)] == [1, 2, 3]


async def test_taken_rows_come_again_until_they_took_effect(kafka: Kafka):
    context, stored = await new_context(kafka, 1), dict[str, int]()
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 11)])
    async with feeding(kafka, context, REGISTRY, [WasPut], stored) as feed:
        [batch] = await feed.take(60)
        assert [each.version for each in batch.rows][:1] == [1]
        await feed.again()
        stored[f"{context}/0"] = 2
        await feed.again()
        assert [each.version for each in await taken(feed, 8)] == [3, 4, 5, 6, 7, 8, 9, 10]


async def test_a_batch_holds_256_rows_at_most(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 601)])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        sizes, rows = list[int](), list[Envelope]()
        while len(rows) < 600:
            for batch in await feed.take(60):
                assert batch.position == batch.rows[-1].position + 1
                sizes.append(len(batch.rows))
                rows += batch.rows
                feed.took(batch)
    assert max(sizes) <= 256
    assert [each.version for each in rows] == list(range(1, 601))


async def test_rows_nobody_wants_are_not_decoded_but_move_the_position(kafka: Kafka):
    context, name, unwanted = await new_context(kafka, 1), f"reader-{secrets.token_hex(4)}", record(row("", "s", 1, Put("s", 1)))
    broken = [Record(topic(context), b"s", b"{no json", changed(unwanted, context=context, version=str(n))) for n in range(1, 301)]
    await kafka.producer.send(broken)
    async with feeding(kafka, context, REGISTRY, [WasPut], name=name) as feed:
        [batch] = await feed.take(60)
        assert (list(batch.rows), batch.position) == ([], 300)
        feed.took(batch)
        await send(kafka, [row(context, "s", 301, WasPut("s", 1)), row(context, "s", 303, WasPut("s", 1))])
        [batch] = await feed.take(60)
        assert ([each.version for each in batch.rows], batch.position) == ([301], 301)
        feed.took(batch)
        with pytest.raises(Unavailable, match="where version 302 should be"):
            await feed.take(60)
    assert DEAD_LETTERS.labels(name, f"{context}/0")._value.get() == 0
    assert GAPS.labels(name, f"{context}/0")._value.get() == 1


POISON: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a broken body": (b'{"shelf": 1}', {}),
    "no JSON": (b"{", {}),
    "an unknown name": (b"{}", {"name": "shelf.was_burnt"}),
    "no version": (b"{}", {"version": None}),
    "a version that is no number": (b"{}", {"version": "two"}),
    "a name that is no text": (b"{}", {"name": b"\xff"}),
}


async def test_record_that_nobody_can_read_goes_to_the_dead_letters_and_blocks_nothing(kafka: Kafka):
    context, name = await new_context(kafka, 1), f"reader-{secrets.token_hex(4)}"
    await send(kafka, [row(context, stream, 1, WasPut("s", 1)) for stream in POISON])
    for stream, (value, headers) in POISON.items():
        poisoned = record(row(context, stream, 2, WasPut("s", 2)))
        await kafka.producer.send([Record(poisoned.topic, poisoned.key, value, changed(poisoned, **headers))])
    await send(kafka, [row(context, stream, 3, WasPut("s", 3)) for stream in POISON])
    async with feeding(kafka, context, REGISTRY, [WasPut], name=name) as feed:
        rows = await taken(feed, 2 * len(POISON))
    assert [(each.stream, each.version) for each in rows] == [(stream, version) for version in (1, 3) for stream in POISON]
    assert DEAD_LETTERS.labels(name, f"{context}/0")._value.get() == len(POISON)
    dead = [told for told in await read_all(kafka, DEAD) if told[2].get("dead.consumer") == name]
    assert [(key, value) for key, value, _ in dead] == [(stream, value) for stream, (value, _) in POISON.items()]
    assert [headers["dead.offset"] for *_, headers in dead] == [str(offset) for offset in range(len(POISON), 2 * len(POISON))]
    assert all(headers["dead.source"] == f"{context}/0" and headers["dead.reason"] for *_, headers in dead)


async def test_missing_version_is_refused_loudly_and_again_and_again(kafka: Kafka):
    context, stored, name = await new_context(kafka, 1), dict[str, int](), f"reader-{secrets.token_hex(4)}"
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in (1, 2, 4, 5)] + [row(context, "t", 1, WasPut("t", 1))])
    async with feeding(kafka, context, REGISTRY, [WasPut], stored, name) as feed:
        assert [each.version for each in await taken(feed, 2, stored)] == [1, 2]
        for _ in range(2):
            with pytest.raises(Unavailable, match=rf"{context}/s goes on with version 4 at offset 2 of {context}/0 where version 3 should be"):
                await taken(feed, 1, stored)
            await feed.again()
    assert GAPS.labels(name, f"{context}/0")._value.get() == 2


async def test_repeated_rows_pass(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in (1, 2, 3, 2, 3, 4)])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        assert [each.version for each in await taken(feed, 6)] == [1, 2, 3, 2, 3, 4]


async def test_take_ends_when_its_time_is_over_or_somebody_wakes_it(kafka: Kafka):
    context = await new_context(kafka, 1)
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        assert await asyncio.wait_for(feed.take(0.05), 60) == []
        asyncio.get_running_loop().call_later(0.05, feed.wake)
        assert await asyncio.wait_for(feed.take(None), 60) == []
        await send(kafka, [row(context, "s", 1, WasPut("s", 1))])
        assert len(await taken(feed, 1)) == 1


async def test_lag_counts_what_has_yet_to_take_effect(kafka: Kafka):
    context = await new_context(kafka, 1)
    await send(kafka, [row(context, "s", n, WasPut("s", n)) for n in range(1, 8)])
    async with feeding(kafka, context, REGISTRY, [WasPut]) as feed:
        assert await feed.lag() == {context: 1}
        done = 0
        while done < 7:
            [batch] = await feed.take(60)
            assert await feed.lag() == {f"{context}/0": 7 - done}, "what was handed over has not taken effect"
            feed.took(batch)
            done = batch.position
            assert await feed.lag() == {f"{context}/0": 7 - done}


async def test_missing_topic_is_told_in_a_sentence(kafka: Kafka):
    async with feeding(kafka, "nowhere", REGISTRY, [WasPut]) as feed:
        with pytest.raises(Unavailable, match=r"Kafka has no topic torg.nowhere: `torg topics apply` makes it"):
            await feed.take(60)


def changed(sent: Record, **headers: str | bytes | None) -> list[tuple[str, str | bytes | None]]:
    """A record's headers with others in their place; None leaves one out."""
    told = dict(sent.headers) | headers
    return [(name, text) for name, text in told.items() if text is not None]


async def read_all(kafka: Kafka, name: str) -> list[tuple[str, bytes, dict[str, str]]]:
    """Key, value and headers of what a topic of one partition holds."""

    def read() -> list[tuple[str, bytes, dict[str, str]]]:
        consumer = Consumer(kafka.configuration({"group.id": "onlooker", "enable.auto.commit": False}))
        try:
            known = consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=60)
            assert known
            low, high = known
            consumer.assign([TopicPartition(name, 0, low)])
            found: list[Any] = []
            while len(found) < high - low:
                found += consumer.consume(high - low - len(found), 1)
            return [((m.key() or b"").decode(), m.value(), {k: v.decode(errors="replace") for k, v in m.headers() or ()}) for m in found]
        finally:
            consumer.close()

    return await asyncio.to_thread(read)
