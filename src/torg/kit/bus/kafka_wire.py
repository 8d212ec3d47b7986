"""How a row of a log travels through Kafka: the stream's id is the key, the message's JSON the value, and what else there is goes into headers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from torg.kit.messages import Envelope, Meta, Registry
from torg.kit.values import moment, stamp

TOPIC = "torg."
DEAD = "torg.dead"
"""Where records go that no consumer can read."""
Headers = Sequence[tuple[str, str | bytes | None]]


@dataclass(frozen=True)
class Record:
    """What is sent. Equal keys go to the same partition, so that a stream stays in order."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Unreadable(Exception):
    """A record that is no row of a log, or one whose message nobody here can decode: the sentence says why."""


def topic(context: str) -> str:
    """Where a context's log is told."""
    return TOPIC + context


def record(row: Envelope) -> Record:
    """A row as it is sent. Headers: name, schema (the message's schema version), version (in the stream), context, id, at, and of its meta what there is:
    cause, actor, request, traceparent (W3C)."""
    meta, (name, schema, data) = row.meta, row.told()
    headers = [
        ("name", name.encode()),
        ("schema", b"%d" % schema),
        ("version", b"%d" % row.version),
        ("context", row.context.encode()),
        ("id", row.id.encode()),
        ("at", stamp(row.at).encode()),
    ]
    told = (("cause", meta.cause), ("actor", meta.actor), ("request", meta.request), ("traceparent", meta.trace))
    headers += [(name, text.encode()) for name, text in told if text]
    return Record(topic(row.context), row.stream.encode(), data, headers)


@dataclass(frozen=True)
class Label:
    """What a record's key and headers say, before its value is looked at."""

    name: str
    context: str
    stream: str
    version: int
    id: str
    at: str
    meta: Meta

    def row(self, offset: int, value: bytes | None, registry: Registry) -> Envelope:
        """The row itself; its position is the record's offset. Raises Unreadable."""
        try:
            return Envelope(
                offset, self.id, self.context, self.stream, self.version, registry.decode(self.name, value or b""), self.meta, moment(self.at)
            )  # fmt: skip
        except KeyError as error:
            raise Unreadable(f"no message is named {self.name!r} here") from error
        except (msgspec.DecodeError, ValueError) as error:
            raise Unreadable(f"{self.name} cannot be decoded: {error}") from error


def label(key: bytes | None, headers: Any) -> Label:
    """Reads what stands on a record. Raises Unreadable when it is no row of a log."""
    try:
        told = {name: text.decode() for name, text in headers or () if text is not None}  # a list of pairs, as they are read
        meta = Meta(told.get("cause", ""), told.get("actor", ""), told.get("request", ""), told.get("traceparent", ""))
        return Label(told["name"], told["context"], (key or b"").decode(), int(told["version"]), told["id"], told["at"], meta)
    except KeyError as missing:
        raise Unreadable(f"it has no header {missing.args[0]!r}, so it is no row of a log") from missing
    except ValueError as error:  # broken UTF-8 as well
        raise Unreadable(f"its key or headers cannot be read: {error}") from error
