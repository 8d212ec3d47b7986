"""What a shop has acknowledged, as JSON lines: what a replay goes on from, and what a shop that died must still know."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

FLUSH_EVERY = 0.2  # seconds between syncs to disk


class Acknowledged(msgspec.Struct, frozen=True):
    """An order whose placing the shop has answered with 202."""

    key: str
    order_id: str
    household_id: str
    user_id: str


_line = msgspec.json.Decoder(Acknowledged).decode


class Ledger:
    """A file to append to, open inside its with block; `known` are its lines by key, those of earlier runs included."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known = {told.key: told for told in _read(file)}
        self._to: BinaryIO | None = None
        self._unsynced = False

    def __enter__(self) -> Self:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self._to = self.file.open("ab")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._to is not None, "a ledger is left as often as it is entered"
        self._flush()
        self._to.close()
        self._to = None

    def add(self, told: Acknowledged) -> None:
        """Written at once, on disk within a moment."""
        if told.key not in self.known:
            self.known[told.key] = told
            assert self._to is not None, "a ledger is written to inside its with block"
            self._to.write(msgspec.json.encode(told) + b"\n")
            self._unsynced = True

    async def keep_flushing(self) -> None:
        """Syncs what was added, in batches, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_EVERY)
            if self._unsynced:
                await asyncio.to_thread(self._flush)

    def _flush(self) -> None:
        self._unsynced = False
        if self._to is not None:
            self._to.flush()
            os.fsync(self._to.fileno())


def _read(file: Path) -> list[Acknowledged]:
    """All whole lines; one that was cut off while it was written is cut from the file, so that the next starts on its own line."""
    if not file.exists():
        return []
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with file.open("r+b") as torn:
            torn.truncate(len(whole))
    return [_line(line) for line in whole.splitlines()]
