"""The development mailbox: letters become .eml files in a folder, as they would have gone on the wire, and nobody is bothered."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from torg.kit.mail import SENT, Letter, Posted, wire
from torg.kit.telemetry import log

KEPT = 5000  # letters; the oldest give way


class FileMailer:
    """Implements Mailer. A letter's file is named for its id; ids that grow with time make the folder's order theirs."""

    def __init__(self, folder: Path, sender: str, kept: int = KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._folder, self._sender, self._kept = folder, str(folder), sender, kept
        self._files = deque(sorted(file.name for file in folder.glob("*.eml")))

    async def send(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        return await asyncio.to_thread(lambda: [self._write(letter) for letter in letters])

    async def check(self) -> str:
        return ""

    async def close(self) -> None:
        """Nothing is open between letters."""

    def read(self, id: str) -> bytes | None:
        """A letter as it was sent; None when it has given way to newer ones."""
        try:
            return (self.folder / f"{id}.eml").read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, id: str) -> None:
        (self.folder / f"{id}.eml").unlink(missing_ok=True)

    def _write(self, letter: Letter) -> Posted:
        name = f"{letter.id}.eml"
        try:
            with open(f"{self._folder}/{name}", "wb", buffering=0) as file:  # noqa: PTH123 a Path would double the cost of a letter
                file.write(wire(letter, self._sender))
        except OSError as error:
            return Posted("deferred", f"{type(error).__name__}: {error}")
        self._files.append(name)
        if len(self._files) > self._kept:
            self._drop(self._files.popleft())
        return SENT

    def _drop(self, name: str) -> None:
        try:
            (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("an old letter stays in the mailbox", file=name, error=str(error))
