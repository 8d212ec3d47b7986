"""The connection to Apache Kafka: what its URL says, and the clients that the consumers and relays of a process share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from torg.kit import telemetry
from torg.kit.bus.kafka_producer import KafkaProducer
from torg.kit.errors import Unavailable

PORT = 9092
PATIENCE = 3.0
"""Seconds that a question to the brokers may take."""
_WHOLE = {
    "topic.metadata.refresh.interval.ms": 30_000,
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 1_000,
    "socket.timeout.ms": 10_000,
    "allow.auto.create.topics": False,
    "log_level": 4,
    "log.connection.close": False,
}


class Kafka:
    """Brokers by their URL: kafka://host:port,host:port, and behind a question mark any settings of librdkafka, as in
    kafka://broker:9093?security.protocol=SASL_SSL&sasl.mechanism=SCRAM-SHA-512&sasl.username=torg&sasl.password=…

    `client` is what the brokers see in their metrics and logs. Nothing connects before it is used."""

    def __init__(self, url: str, client: str = "torg") -> None:
        parts = urlsplit(url)
        if parts.scheme != "kafka" or not parts.netloc or "@" in parts.netloc or parts.path.strip("/"):
            raise ValueError(f"{url!r} does not name brokers: write kafka://host:port,host:port, and user and password as ?sasl.username=…&sasl.password=…")
        hosts = [host if ":" in host else f"{host}:{PORT}" for host in parts.netloc.split(",") if host]
        self.servers = ",".join(hosts)
        self.more: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._client = client

    def configuration(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """A client's whole configuration; what the URL says wins."""
        logs = logging.Logger("kafka")  # noqa: LOG001 one of its own: the root's handlers are none of ours
        logs.addHandler(_Told())
        return {"bootstrap.servers": self.servers, "client.id": self._client, **_WHOLE, **own, **self.more, "logger": logs}

    @cached_property
    def producer(self) -> KafkaProducer:
        """What all relays of the process send with."""
        return KafkaProducer(self.configuration)

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient(self.configuration({}))

    async def ends(self, partitions: Collection[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The offset behind the last record of each of these (topic, partition). Raises Unavailable."""
        if not partitions:
            return {}
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self.admin.list_offsets({TopicPartition(*each): latest for each in partitions}, request_timeout=PATIENCE)
        return {(each.topic, each.partition): (await answer(told)).offset for each, told in asked.items()}

    async def fault(self) -> str:
        """Asks for the nodes, for /ready: an empty text when one answers, else what is wrong."""
        try:
            await answer(self.admin.describe_cluster(request_timeout=PATIENCE))
        except Unavailable as away:
            return away.detail
        return ""

    async def close(self) -> None:
        """Waits for what the producer has been given, for a few seconds at most."""
        if "producer" in vars(self):
            await self.producer.close()
        vars(self).pop("admin", None)


async def answer(told: Future[Any]) -> Any:
    """What an admin client promises. Raises Unavailable with the broker's words."""
    try:
        return await asyncio.wrap_future(told)
    except KafkaException as error:
        raise Unavailable(f"Kafka: {error.args[0].str()}") from error


class _Told(logging.Handler):
    """Passes librdkafka's own words on to the shop's log: for who looks closely, as its errors come as results as well."""

    def emit(self, record: logging.LogRecord) -> None:
        telemetry.log.debug("kafka", said=record.getMessage())
