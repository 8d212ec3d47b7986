"""What a context keeps beside its records, in an engine of another kind, as backups have it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

ENDING = ".beside"


class BesideRefused(Exception):
    """A sentence for whoever backs up or restores: what is in the way."""


class Beside(Protocol):
    """Copies what is in such an engine and puts it into an empty one. `records` is a connection of PostgreSQL's driver to the context's own records, in its
    schema: of the cut, or of those that are being restored. Raises BesideRefused."""

    name: str
    """The folder of its files in a backup; the setting that names the engine is called so as well."""

    async def copy(self, url: str, records: Any, work: Path) -> dict[str, int] | None:
        """Copies all into files of `work`, and says how many rows each has: `<name>.beside`. None where some of it is newer than the records: another cut is
        wanted. Nothing where the shop has nothing there."""
        ...

    async def refuse_filled(self, url: str) -> None:
        """Raises BesideRefused where there is something already."""
        ...

    async def put(self, url: str, records: Any, folder: Path, counts: Mapping[str, int]) -> None:
        """Puts back what was copied."""
        ...

    async def drop(self, url: str) -> None:
        """Takes what was put back out again."""
        ...
