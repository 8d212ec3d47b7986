"""What `torg engines` needs to know of an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

Tell = Callable[[str], None]
"""Shows a line of progress."""


class EngineRefused(Exception):
    """An engine cannot be had or started here: the sentence says what was tried and what would help."""


@dataclass(frozen=True)
class Place:
    """Where an engine lives: `home` keeps what was installed (shared by all data folders), `data` its records, and it listens at `port` of 127.0.0.1."""

    home: Path
    data: Path
    port: int


class Engine(Protocol):
    """One server engine, as it can be had without Docker. Instances hold nothing: all state is in the place."""

    name: str
    """As in `torg engines up NAME`."""
    port: int
    """Where it listens unless told otherwise."""
    version: str
    """What runs, e.g. "PostgreSQL 18.4"; with the name of the stand-in and what it can't show where it is one."""
    image: str
    """The image that `docker compose` runs instead; empty for one that never runs in a container."""

    def install(self, home: Path, tell: Tell) -> None:
        """Makes sure that everything is there, by package name with the registries' ordinary clients; quick when it is. Raises EngineRefused."""
        ...

    def command(self, place: Place) -> list[str]:
        """What to run in the foreground; first makes the data folder ready when it is new. Raises EngineRefused."""
        ...

    def environment(self, place: Place) -> Mapping[str, str]:
        """What the command's environment has besides this one's."""
        ...

    def user(self) -> str:
        """The system user that must run it, empty for the one who asks."""
        ...

    def fault(self, place: Place) -> str:
        """Asks it a real question: an empty text when it answers, else what is wrong."""
        ...

    def prepare(self, place: Place) -> None:
        """Once it answers: what a new one still needs (databases, users). Does nothing the second time."""
        ...

    def settings(self, place: Place) -> Mapping[str, str]:
        """The environment that has Torg use it: {"TORG_DB": "postgresql://…"}."""
        ...
