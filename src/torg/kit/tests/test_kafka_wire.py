"""What a record says, and what is remembered of the streams that pass by. No broker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_wire import Unreadable, label, record
from torg.kit.bus.versions import Versions
from torg.kit.messages import Envelope, Meta
from torg.kit.tests.messages import REGISTRY, WasPut

AT = datetime(2026, 11, 22, 1, 2, 3, 456789, UTC)
ROW = Envelope(7, "shelf/шкаф/3", "shelf", "шкаф", 3, WasPut("шкаф", 2), Meta("order/1/2", "maria", "r-1", "00-0af7-b7ad-01"), AT)


def test_record_says_everything_in_its_headers():
    sent = record(ROW)
    assert (sent.topic, sent.key, sent.value) == ("torg.shelf", "шкаф".encode(), '{"shelf":"шкаф","things":2}'.encode())
    assert dict(sent.headers) == {
        "name": b"shelf.was_put", "schema": b"1", "version": b"3", "context": b"shelf", "id": "shelf/шкаф/3".encode(), "at": b"2026-11-22T01:02:03.456789Z",
        "cause": b"order/1/2", "actor": b"maria", "request": b"r-1", "traceparent": b"00-0af7-b7ad-01",
    }  # fmt: skip


def test_row_is_the_same_again_except_for_its_position():
    sent = record(ROW)
    came = label(sent.key, sent.headers).row(41, sent.value, REGISTRY)
    assert came == Envelope(41, ROW.id, ROW.context, ROW.stream, ROW.version, ROW.message, ROW.meta, ROW.at)


def test_empty_meta_takes_no_room():
    assert [name for name, _ in record(Envelope(1, "shelf/s/1", "shelf", "s", 1, WasPut("s", 1), Meta(), AT)).headers] == [
        "name", "schema", "version", "context", "id", "at",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["name", "version", "context", "id", "at"])
def test_record_without_what_it_must_say_is_unreadable(missing: str):
    with pytest.raises(Unreadable, match=f"no header '{missing}'"):
        label(b"s", [header for header in record(ROW).headers if header[0] != missing])


@pytest.mark.parametrize(("value", "reason"), [(b"", "cannot be decoded"), (None, "cannot be decoded"), (b'{"shelf":3}', "cannot be decoded: .*shelf")])
def test_message_of_another_shape_is_unreadable(value: bytes | None, reason: str):
    with pytest.raises(Unreadable, match=reason):
        label(b"s", record(ROW).headers).row(1, value, REGISTRY)


def test_streams_may_begin_anywhere_and_go_on_step_by_step():
    versions = Versions()
    assert [versions.follow("shelf/0", at, "shelf/s", version) for at, version in enumerate((5, 6, 7, 7, 5, 8))] == [0] * 6
    assert versions.follow("shelf/0", 6, "shelf/t", 1) == 0


def test_gap_names_the_missing_version_until_it_has_come():
    versions = Versions()
    versions.follow("shelf/0", 0, "shelf/s", 1)
    assert versions.follow("shelf/0", 1, "shelf/s", 3) == 2
    assert versions.follow("shelf/0", 1, "shelf/s", 4) == 2
    assert versions.follow("shelf/0", 2, "shelf/s", 2) == 0
    assert versions.follow("shelf/0", 3, "shelf/s", 3) == 0


def test_what_comes_again_is_forgotten_and_what_was_before_is_not():
    versions = Versions()
    for at, (stream, version) in enumerate([("shelf/s", 1), ("shelf/t", 1), ("shelf/t", 2)]):
        versions.follow("shelf/0", at, stream, version)
    versions.follow("shelf/1", 9, "shelf/u", 4)
    versions.forget("shelf/0", 1)
    assert versions.follow("shelf/0", 1, "shelf/s", 3) == 2
    assert versions.follow("shelf/0", 2, "shelf/t", 9) == 0
    assert versions.follow("shelf/1", 10, "shelf/u", 6) == 5


def test_memory_is_bounded_and_drops_the_stream_that_was_quiet_longest():
    versions = Versions(remembered=2)
    for stream in ("a", "b", "a", "c"):
        versions.follow("shelf/0", 0, stream, 2 if versions.follow("shelf/0", 0, stream, 1) else 1)
    versions.follow("shelf/0", 1, "a", 2)
    assert versions.follow("shelf/0", 2, "b", 5) == 0
    assert versions.follow("shelf/0", 2, "a", 5) == 3


def test_url_names_brokers_and_may_say_anything_that_librdkafka_knows():
    kafka = Kafka("kafka://one,two:9094?security.protocol=SASL_SSL&sasl.username=torg&sasl.password=a%26b")
    told = kafka.configuration({"acks": "all"})
    assert told["bootstrap.servers"] == "one:9092,two:9094"
    assert (told["security.protocol"], told["sasl.username"], told["sasl.password"], told["acks"]) == ("SASL_SSL", "torg", "a&b", "all")


@pytest.mark.parametrize("url", ["redis://one:1", "kafka://", "kafka://user:password@one:1", "kafka://one/path"])
def test_url_that_names_no_brokers_is_refused_with_what_would_be_right(url: str):
    with pytest.raises(ValueError, match="write kafka://host:port"):
        Kafka(url)
