"""The development mailbox: letters are kept as they would have gone on the wire, and nobody is bothered. One file holds them all: a file for each
letter cost ten times as much as the letter."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from torg.kit.mail import SENT, Letter, Posted, wire

KEPT = 5000  # letters; the oldest give way

_TABLE = "create table if not exists letter (number integer primary key, id text not null unique, message blob not null)"


class FileMailer:
    """Implements Mailer over `letters.db` in a folder; the newest `kept` letters stay."""

    def __init__(self, folder: Path, sender: str, kept: int = KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._sender, self._kept = sender, kept
        self._turn = Lock()  # a letter may be asked for, or the shop closed, while a thread writes others
        self.file = sqlite3.connect(folder / "letters.db", isolation_level=None, check_same_thread=False, timeout=10)
        for statement in ("pragma synchronous=off", "pragma journal_mode=memory", _TABLE):  # a copy for looking at: nothing of the shop's is lost with it
            self.file.execute(statement)

    async def send(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        return await asyncio.to_thread(self._keep, letters)

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        with self._turn:
            self.file.close()

    def read(self, id: str) -> bytes | None:
        """A letter as it was sent; None when it has given way to newer ones."""
        with self._turn:
            row: tuple[bytes] | None = self.file.execute("select message from letter where id = ?", (id,)).fetchone()
        return row and row[0]

    def remove(self, id: str) -> None:
        with self._turn:
            self.file.execute("delete from letter where id = ?", (id,))

    def _keep(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        rows = [(letter.id, wire(letter, self._sender)) for letter in letters]
        try:
            with self._turn, self.file:
                self.file.execute("begin")
                self.file.executemany("insert into letter (id, message) values (?, ?) on conflict do nothing", rows)
                self.file.execute("delete from letter where number <= (select max(number) from letter) - ?", (self._kept,))
        except sqlite3.Error as error:
            return [Posted("deferred", f"{type(error).__name__}: {error}")] * len(rows)
        return [SENT] * len(rows)
