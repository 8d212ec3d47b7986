"""A member of a consumer group as its one thread drives it: assignments, positions, what was fetched, and what must not go on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka import Message as KafkaMessage
from prometheus_client import Counter

from torg.kit import telemetry
from torg.kit.bus.feed import Batch
from torg.kit.bus.kafka import Kafka
from torg.kit.bus.kafka_wire import DEAD, TOPIC, Record, Unreadable, label
from torg.kit.bus.versions import Versions
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope, Message, Registry

BATCH = 256  # rows of a source handed over together
LOT = 1024  # records taken out of the client's queue together
SLICE = 0.25  # seconds after which the thread looks whether it is wanted elsewhere
COMMIT_EVERY = 5.0  # seconds between two times that the group's offsets are told to Kafka
LEAVES = 2.0  # seconds that leaving may take
ANSWER = 1.0  # seconds that brokers have to show that they are back

GAPS = Counter("torg_kafka_version_gaps_total", "Rows refused because an earlier one of their stream was missing", ("consumer", "source"))
DEAD_LETTERS = Counter("torg_kafka_dead_letters_total", "Records that could not be read and went to the dead-letter topic", ("consumer", "source"))

CONFIGURATION: Final = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 20_000,  # longer than a broker takes to start again: who outlives it keeps its partitions
    "heartbeat.interval.ms": 500,  # who beats more often hears of the others sooner
    "max.poll.interval.ms": 60_000,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    # what waits in memory while a batch is handled: 4 MB and what one more fetch brings, as JSON, and once more as rows
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 4096,
    "fetch.max.bytes": 1 << 20,
    "max.partition.fetch.bytes": 1 << 20,
    "fetch.queue.backoff.ms": 20,
}
BROKERS_OWN: Final = ("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms")
"""What the brokers say themselves where the URL chooses the new protocol (?group.protocol=consumer)."""
Stored = Callable[[], Mapping[str, int]]
"""The positions in the consumer's own store; blocks until it has them."""


@dataclass
class Source:
    """A partition while it is ours. `next` is the offset behind the last record looked at, `position` how far everything has taken effect."""

    topic: str
    partition: int
    next: int = 0
    position: int = 0
    told: int = -1
    skipped: int = 0
    ready: deque[Envelope] = field(default_factory=deque)
    handed: Batch | None = None
    torn: str = ""

    @property
    def name(self) -> str:
        return f"{self.topic.removeprefix(TOPIC)}/{self.partition}"

    def start(self, offset: int) -> None:
        """Everything from this offset on is yet to come."""
        self.next = self.position = max(offset, 0)
        self.skipped, self.handed, self.torn = 0, None, ""
        self.ready.clear()

    def at(self, offset: int) -> TopicPartition:
        return TopicPartition(self.topic, self.partition, offset)

    def batch(self) -> Batch | None:
        """What is ready, or where it has come to when many rows went by that nobody wants."""
        if not self.ready and self.skipped < BATCH:
            return None
        rows = [self.ready.popleft() for _ in range(min(BATCH, len(self.ready)))]
        self.skipped = 0
        self.handed = Batch(self.name, rows, rows[-1].position + 1 if self.ready else self.next)
        return self.handed

    def took(self, batch: Batch) -> None:
        if batch is self.handed:
            self.handed, self.position = None, batch.position

    def done(self) -> int:
        """The offset before which everything has taken effect, or was not wanted."""
        return self.position if self.handed or self.ready else self.next


class Member:
    """Every method is called in one thread after the other, never in two at once."""

    def __init__(self, kafka: Kafka, name: str, topics: Collection[str], instance: str, kinds: Collection[type[Message]], registry: Registry, stored: Stored):
        self._kafka, self._name, self._registry, self._stored = kafka, name, registry, stored
        self._others = {kind.NAME for kind in registry.types()} - {kind.NAME for kind in kinds}
        self._versions = Versions()
        self.sources: dict[tuple[str | None, int | None], Source] = {}
        self.wanted_elsewhere = False
        self.reassigned = False
        self.met = False
        self._rewind = False
        self.away = self._refused = self._last_failure = ""  # why no broker answers, or why they refuse this member
        self._broken: Exception | None = None
        self._paused = False
        self._committed_at = time.monotonic()
        own = CONFIGURATION | {"group.id": f"torg.{name}", "error_cb": self._failed} | ({"group.instance.id": instance} if instance else {})
        self._configuration = kafka.configuration(own)
        if self._configuration.get("group.protocol") == "consumer":
            self._configuration = {key: value for key, value in self._configuration.items() if key not in BROKERS_OWN}
        self._consumer = Consumer(self._configuration)
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    @property
    def patience(self) -> float:
        """Seconds of handling after which the thread shows the group that it lives."""
        return int(self._configuration["max.poll.interval.ms"]) / 4000

    def fetch(self, seconds: float) -> None:
        """Waits until something is ready to be handed over, so long at most. Raises Unavailable."""
        if self._refused or (self.away and not self._answers()):
            raise Unavailable(self._refused or self.away)
        self._resume()
        if self._rewind:
            self._go_back()
        until = time.monotonic() + seconds
        while not self.something_ready() and not self.wanted_elsewhere and (left := until - time.monotonic()) > 0:
            self._refuse_torn()
            first = self._consumer.poll(min(left, SLICE))
            if self._broken:
                raise self._broken
            if first is not None:
                self._sort([first, *self._consumer.consume(LOT - 1, 0)])
            if self.away:
                raise Unavailable(self.away)
            self._commit(now=False)

    def batches(self) -> list[Batch]:
        """What is ready, one of each source."""
        return [batch for source in self.sources.values() if (batch := source.batch())]

    def rewind(self) -> None:
        """What was handed over or is ready counts for nothing: the next fetch begins at the stored positions."""
        self._rewind = True
        for source in self.sources.values():
            source.ready.clear()
            source.handed = None

    def stay(self) -> None:
        """Shows the group that this member lives, while what it has taken is still being handled: nothing is fetched meanwhile."""
        if not self._paused:
            self._consumer.pause([source.at(0) for source in self.sources.values()])
            self._paused = True
        message = self._consumer.poll(0)
        if message is not None:
            self._sort([message])

    def close(self) -> None:
        """Leaves the group, so that others have its partitions at once; what has taken effect is told before. Where no broker answers nobody waits for that:
        but the client has to end, else it would come back with the brokers, as another one of this name, and its successor be refused."""
        self._consumer.poll(0)
        if self.away:
            Thread(target=self._consumer.close, name=f"kafka {self._name} ends", daemon=True).start()
            return
        if not self._refused:
            self._leave()
        self._consumer.close()

    def _leave(self) -> None:
        """To close alone would not do it: the group keeps a place for an instance with a name until its session is over, as if it had crashed."""
        try:
            self._consumer.unsubscribe()
        except KafkaException as error:  # another one of this name has its place already
            telemetry.log.debug("a group was not left", consumer=self._name, reason=str(error))
            return
        until = time.monotonic() + LEAVES
        while self.sources and time.monotonic() < until:
            self._consumer.poll(0.05)

    # ---------------------------------------------------------------- what comes in

    def something_ready(self) -> bool:
        return any(source.ready or source.skipped >= BATCH for source in self.sources.values())

    def _sort(self, messages: Sequence[KafkaMessage]) -> None:
        try:
            for message in messages:
                if error := message.error():
                    self._trouble(error, message)
                elif (source := self.sources.get((message.topic(), message.partition()))) and not source.torn:
                    self._look_at(source, message)
        except Exception:
            self._rewind = True  # some of the messages were not looked at
            raise

    def _look_at(self, source: Source, message: KafkaMessage) -> None:
        offset = message.offset() or 0
        try:
            found = label(message.key(), message.headers())
            missing = self._versions.follow(source.name, offset, f"{found.context}/{found.stream}", found.version)
            if missing:
                self._tear(source, offset, f"{found.context}/{found.stream}", missing, found.version)
                return
            if found.name in self._others:
                source.skipped += 1
            else:
                source.ready.append(found.row(offset, message.value(), self._registry))
        except Unreadable as reason:
            self._bury(source, message, str(reason))
        source.next = offset + 1

    def _bury(self, source: Source, message: KafkaMessage, reason: str) -> None:
        """The dead-letter topic keeps what nobody can read. Raises Unavailable when it can't, and then the record comes again."""
        key = message.key() or b""
        about = [("consumer", self._name), ("source", source.name), ("offset", str(message.offset())), ("reason", reason)]
        headers = [*(message.headers() or ()), *((f"dead.{name}", text.encode()) for name, text in about)]
        self._versions.forget_stream(f"{source.topic.removeprefix(TOPIC)}/{key.decode(errors='replace')}")
        telemetry.log.error("a record cannot be read", consumer=self._name, source=source.name, offset=message.offset(), reason=reason)
        DEAD_LETTERS.labels(self._name, source.name).inc()
        self._kafka.producer.send_now([Record(DEAD, key, message.value() or b"", headers)])

    def _tear(self, source: Source, offset: int, stream: str, missing: int, version: int) -> None:
        source.torn = f"{stream} goes on with version {version} at offset {offset} of {source.name} where version {missing} should be"
        telemetry.log.error("a row is missing", consumer=self._name, source=source.name, stream=stream, missing=missing, came=version, offset=offset)
        GAPS.labels(self._name, source.name).inc()

    def _refuse_torn(self) -> None:
        """Goes back, and says so, once what came before the gap has been handed over."""
        torn = [source.torn for source in self.sources.values() if source.torn]
        if torn:
            self._rewind = True
            raise Unavailable("; ".join(torn))

    # ---------------------------------------------------------------- where it stands

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begins where the store says, whatever Kafka has been told. What a callback raises is lost on its way through the client, so it is kept."""
        self.met = True
        try:
            stored = self._stored() if partitions else {}
        except Exception as error:  # noqa: BLE001 raised as soon as the client's call is over
            telemetry.log.debug("positions cannot be read", consumer=self._name, reason=repr(error))
            self._broken = error
            return
        for each in partitions:
            source = self.sources[each.topic, each.partition] = Source(each.topic, each.partition)
            each.offset = stored[source.name] if source.name in stored else self._oldest(source)
            source.start(each.offset)
        consumer.incremental_assign(partitions)
        self.reassigned = self.reassigned or bool(partitions)

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(now=True)
        self._drop(partitions)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        telemetry.log.warning("a consumer was thrown out of its group, and joins it again", consumer=self._name, sources=len(partitions))
        self._drop(partitions)

    def _drop(self, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            source = self.sources.pop((each.topic, each.partition), None)
            if source:
                self._versions.forget(source.name)
        self.reassigned = self.reassigned or bool(partitions)

    def _go_back(self) -> None:
        stored = self._stored()
        for source in self.sources.values():
            self._seek(source, stored[source.name] if source.name in stored else self._oldest(source))
        self._rewind = False

    def _oldest(self, source: Source) -> int:
        """The offset of the oldest record that is left, as a number where Kafka tells it in time: the lag is counted from there."""
        try:
            known = self._consumer.get_watermark_offsets(source.at(0), timeout=ANSWER)
        except KafkaException:
            return OFFSET_BEGINNING
        return known[0] if known else OFFSET_BEGINNING

    def _seek(self, source: Source, offset: int) -> None:
        source.start(offset)
        self._versions.forget(source.name, max(offset, 0))
        self._consumer.incremental_unassign([source.at(0)])  # a mere seek is refused where the fetching has ended, as behind the end
        self._consumer.incremental_assign([source.at(offset)])

    def _resume(self) -> None:
        if self._paused:
            self._consumer.resume([source.at(0) for source in self.sources.values()])
            self._paused = False

    def _commit(self, now: bool) -> None:
        """Tells Kafka how far the group is, for those who look at its lag; nothing here depends on it."""
        if not now and time.monotonic() - self._committed_at < COMMIT_EVERY:
            return
        self._committed_at = time.monotonic()
        news = [(source, source.done()) for source in self.sources.values() if source.done() != source.told]
        if not news:
            return
        try:
            self._consumer.commit(offsets=[source.at(done) for source, done in news])  # nobody waits for it: brokers may be away
        except KafkaException as error:
            telemetry.log.debug("group offsets were not committed", consumer=self._name, reason=str(error))
        for source, done in news:
            source.told = done

    # ---------------------------------------------------------------- what goes wrong

    def _trouble(self, error: KafkaError, message: KafkaMessage) -> None:
        source = self.sources.get((message.topic(), message.partition()))
        if error.code() == KafkaError._AUTO_OFFSET_RESET and source:
            telemetry.log.warning(
                "the stored position is not in the topic any more: going on with the oldest record that is left",
                consumer=self._name, source=source.name, position=source.next, reason=error.str(),
            )  # fmt: skip
            self._seek(source, self._oldest(source))
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise Unavailable(f"Kafka has no topic {message.topic()}: `torg topics apply` makes it")
        elif error.fatal() or error.code() == KafkaError._FATAL:
            self._refused = f"Kafka refuses this member of {self._name}: {error.str()}"
            raise Unavailable(self._refused)
        else:
            telemetry.log.warning("kafka consumer", consumer=self._name, error=error.str())

    def _failed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.away = f"no broker of {self._kafka.servers} answers: {self._last_failure or error.str()}"
        else:
            self._last_failure = error.str()

    def _answers(self) -> bool:
        try:
            first = self._consumer.poll(0)
            self._sort([first] if first else [])
            self._consumer.list_topics(timeout=ANSWER)
        except KafkaException as error:
            self.away = f"no broker of {self._kafka.servers} answers: {self._last_failure or error.args[0].str()}"
            return False
        self.away = ""
        return True
