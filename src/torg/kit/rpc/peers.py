"""Where contexts run: the port of discovery, and the two ways that need no server, a fixed list and a file that may change."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torg.kit import telemetry

LOOK_EVERY = 0.1  # seconds between looks at the file


@dataclass(frozen=True)
class Instances:
    """Addresses ("host:port") at which a context answers. `returning`: there will be one in a moment (it is being restarted), so that waiting helps."""

    addresses: tuple[str, ...] = ()
    returning: bool = False


NOWHERE = Instances()


class Peers(Protocol):
    """Knows where contexts run. Asked before each call: answers from what it knows, and keeps that up to date by itself."""

    async def of(self, context: str) -> Instances:
        """Raises Unavailable when nobody could be asked so far."""
        ...

    async def run(self) -> None:
        """Keeps itself up to date until cancelled; under supervision."""
        ...

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None:
        """Says that this process answers for these contexts, where others must be told; takes it back when it is closed. `asked_at`: the port at which it
        tells everybody whether it is ready."""
        ...

    async def close(self) -> None: ...


@dataclass
class StaticPeers:
    """Implements Peers by a list."""

    instances: Mapping[str, Sequence[str]] = field(default_factory=dict)

    async def of(self, context: str) -> Instances:
        return Instances(tuple(self.instances.get(context, ())))

    async def run(self) -> None:
        """A list does not change."""

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None:
        """Whoever wrote the list knows."""

    async def close(self) -> None: ...


class FilePeers:
    """Implements Peers by a TOML file, looked at again as soon as it has changed:

    order = ["10.0.0.7:8001", "10.0.0.8:8001"]
    returning = ["cart"]
    """

    def __init__(self, file: Path) -> None:
        self._file, self._seen = file, (0, 0)
        self._known: dict[str, Instances] = {}

    async def of(self, context: str) -> Instances:
        if not self._seen[0]:
            self._look()
        return self._known.get(context, NOWHERE)

    async def run(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_EVERY)

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None:
        """Whoever wrote the file knows."""

    async def close(self) -> None: ...

    def _look(self) -> None:
        try:
            stat = self._file.stat()
            changed = stat.st_mtime_ns, stat.st_ino  # files that replace one another within a tick of the clock differ in the second
            if changed != self._seen:
                self._known, self._seen = read_peers(self._file.read_text()), changed
        except FileNotFoundError:  # nobody runs yet
            return
        except (OSError, ValueError) as error:  # what was known stays
            telemetry.log.error("the file of peers cannot be read", file=str(self._file), error=str(error))


def read_peers(text: str) -> dict[str, Instances]:
    """Raises ValueError."""
    given: dict[str, Any] = tomllib.loads(text)
    returning = set(given.pop("returning", ()))
    return {context: Instances(tuple(given.get(context, ())), context in returning) for context in {*given, *returning}}
