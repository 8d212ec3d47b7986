"""What the processes of a fleet say, on one terminal: each line with the name of whose it is, in that one's colour."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import IO

COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)  # ECMA-48: cyan, green, yellow, magenta, blue, and their bright ones


class Words:
    """Writes lines to `to`, coloured where that is a terminal and nobody objects (NO_COLOR)."""

    def __init__(self, names: Sequence[str], to: IO[str], environment: Mapping[str, str]) -> None:
        self._to, self._width = to, max(map(len, names), default=0)
        self._colours = dict(zip(names, COLOURS * (len(names) // len(COLOURS) + 1), strict=False))
        self._coloured = to.isatty() and not environment.get("NO_COLOR")

    def say(self, name: str, line: str) -> None:
        head = f"{name:{self._width}} |"
        self._to.write(f"\x1b[{self._colours.get(name, 37)}m{head}\x1b[0m {line}\n" if self._coloured else f"{head} {line}\n")
        self._to.flush()

    async def pass_on(self, name: str, spoken: asyncio.StreamReader) -> None:
        """Until the process has said everything."""
        while True:
            try:
                line = await spoken.readline()
            except ValueError:  # longer than the reader's limit
                line = await spoken.read(1 << 16)
            if not line:
                return
            self.say(name, line.decode("utf-8", "replace").rstrip("\n"))
