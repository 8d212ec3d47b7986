"""What those outside were told: every answer with its time, and what was promised in it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import msgspec

SERVER_ERROR, NO_ANSWER = 500, 0


class Promise(msgspec.Struct, frozen=True):
    """An order that the shop acknowledged; `asked` and `told` are seconds of this machine's monotonic clock."""

    key: str
    order_id: str
    user_id: str
    product_id: str
    quantity: int
    total: int
    method: str
    asked: float
    told: float


class Asked(NamedTuple):
    """A request: when it was sent, how long it took, and what came back (NO_ANSWER: nothing, or not all of it)."""

    at: float
    seconds: float
    what: str
    status: int

    @property
    def failed(self) -> bool:
        return self.status == NO_ANSWER or self.status >= SERVER_ERROR


class Record:
    """Promises are on the disk before their buyer goes on, so that the record itself survives anything the shop survives; all other answers are in
    `answers.ndjson` beside them."""

    def __init__(self, file: Path) -> None:
        self.promises: list[Promise] = []
        self.asked: list[Asked] = []
        self.confirmed: list[tuple[float, float]] = []
        """When an order was asked for, and when its buyer saw that it is confirmed."""
        self.defects: list[str] = []
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file, self._answers = file.open("ab"), file.with_name("answers.ndjson").open("ab")

    def close(self) -> None:
        self._file.close()
        self._answers.close()

    def write(self, promise: Promise) -> None:
        self._file.write(msgspec.json.encode(promise) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.promises.append(promise)

    def answer(self, began: float, what: str, status: int, text: bytes = b"") -> None:
        asked = Asked(began, time.monotonic() - began, what, status)
        self.asked.append(asked)
        self._answers.write(msgspec.json.encode(asked) + b"\n")
        if status >= SERVER_ERROR and status != 503:
            self.defects.append(f"{what} was answered {status}: {text.decode(errors='replace')[:300]}")
