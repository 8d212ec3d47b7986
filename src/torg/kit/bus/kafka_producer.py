"""Sends records to Kafka: idempotent, acknowledged by all replicas that are in sync, in order within a partition."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from torg.kit import telemetry
from torg.kit.bus.kafka_wire import Record
from torg.kit.errors import Unavailable

LARGEST = 1_000_000
"""Bytes of a record, its key and headers included: what a broker takes unless it is told otherwise."""
GIVEN_UP = 30_000  # milliseconds until a record that was not acknowledged counts as not sent
GRACE = 2.0  # seconds that closing waits for acknowledgements
_WHOLE = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": GIVEN_UP,
    "message.max.bytes": LARGEST,
    "compression.type": "lz4",
    "linger.ms": 1,
}


class NotSent(Unavailable):
    """Records were not acknowledged: the first `sent` of them were, of the others nobody knows. `too_large` when trying again cannot help."""

    def __init__(self, detail: str, sent: int, too_large: bool = False) -> None:
        super().__init__(detail)
        self.sent, self.too_large = sent, too_large


class KafkaProducer:
    """One for a whole process: any loop or thread may send with it. A thread of its own hears the acknowledgements."""

    def __init__(self, configuration: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        self._configuration = configuration
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._closed = threading.Event()
        self._hearing: threading.Thread | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Sends them in this order and waits until all are acknowledged. Raises NotSent."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        sending = _Sending(len(records), lambda: loop.call_soon_threadsafe(finish))
        self._begin(records, sending)
        await done
        sending.check(records)

    def send_now(self, records: Sequence[Record]) -> None:
        """As `send`, for a thread that may wait."""
        done = threading.Event()
        sending = _Sending(len(records), done.set)
        self._begin(records, sending)
        done.wait()
        sending.check(records)

    async def close(self) -> None:
        """Waits a little for what is on its way, and ends."""
        with self._lock:
            self._closed.set()
        if self._hearing:
            await asyncio.to_thread(self._hearing.join)

    def _begin(self, records: Sequence[Record], sending: _Sending) -> None:
        producer = self._ready()
        for index, record in enumerate(records):
            told = partial(sending.told, index)
            try:
                producer.produce(record.topic, record.value, record.key, headers=list(record.headers), on_delivery=told)
            except (KafkaException, BufferError) as error:  # too large for this client, or its queue is full
                refusal = error.args[0] if isinstance(error, KafkaException) else KafkaError(KafkaError._QUEUE_FULL, str(error))
                for rest in range(index, len(records)):  # what follows must not overtake it
                    sending.told(rest, refusal, None)
                return

    def _ready(self) -> Producer:
        """The client; a new one where the last one is past saving."""
        with self._lock:
            if self._closed.is_set():
                raise Unavailable("the shop is closing: nothing more is sent to Kafka")
            if self._producer is None:
                self._producer = Producer(self._configuration(_WHOLE | {"error_cb": self._failed}))
            if self._hearing is None:
                self._hearing = threading.Thread(target=self._hear, name="kafka acknowledgements", daemon=True)
                self._hearing.start()
            return self._producer

    def _hear(self) -> None:
        while not self._closed.is_set():
            producer = self._producer
            if producer is None:
                self._closed.wait(0.05)
            else:
                producer.poll(0.25)
                if self._producer is not producer:
                    _end(producer, 0)
        if self._producer:
            _end(self._producer, GRACE)

    def _failed(self, error: KafkaError) -> None:
        """An idempotent producer that can't keep its promise any more refuses to go on: the next record is sent by a new one. Other failures it gets over
        by itself, or the records say so."""
        if error.fatal():
            telemetry.log.warning("kafka producer", error=error.str())
            self._producer = None


def _end(producer: Producer, seconds: float) -> None:
    """Whoever still waits for an acknowledgement is told: it came within these seconds, or it won't."""
    producer.flush(seconds)
    producer.purge()
    producer.flush(1)


class _Sending:
    """The acknowledgements of one call."""

    def __init__(self, count: int, finished: Callable[[], object]) -> None:
        self._count, self._finished = count, finished
        self._told = itertools.count(1)  # counts also where two threads tell at once
        self._failed: dict[int, KafkaError] = {}
        if not count:
            finished()

    def told(self, index: int, error: KafkaError | None, _: Message | None) -> None:
        if error is not None:
            self._failed[index] = error
        if next(self._told) == self._count:
            self._finished()

    def check(self, records: Sequence[Record]) -> None:
        """Raises NotSent."""
        if not self._failed:
            return
        first = min(self._failed)
        error, record = self._failed[first], records[first]
        too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
        what = f"a record of {len(record.value)} bytes for {record.topic}, key {record.key.decode()}"
        raise NotSent(f"Kafka did not take {what}: {error.str()}", first, too_large)
