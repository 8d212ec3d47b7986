"""A cut: all stores of a data folder as they were at one and the same instant, while processes go on writing to them.

Each store gives a snapshot of itself without stopping anybody (a read transaction in WAL mode), but snapshots taken one after the other are of different
moments. So they are taken at once and looked at twice: when no store has changed from before the first snapshot was taken until after the last one was,
there was an instant at which all of them were current (docs/decisions/0019-backups-by-double-collect.md). Else they are let go and taken anew."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from torg.kit.values import Clock, utc_now
from torg.recovery.errors import CannotBackUp

PATIENCE = 60.0  # seconds that a cut is tried for
BREATH = 0.002  # seconds between two tries
_LOOK = "select 1 from sqlite_schema limit 1"


class Standing(msgspec.Struct, frozen=True):
    """How far a store's log goes, and how far its consumers have come in the logs that they follow: positions by consumer and source."""

    head: int
    consumers: dict[str, dict[str, int]]


@dataclass(frozen=True)
class Cut:
    """The stores' snapshots by name, for as long as it is held, the instant they are of, and what it took: tries, and seconds of the last one."""

    snapshots: Mapping[str, sqlite3.Connection]
    at: datetime
    tries: int
    seconds: float

    def standings(self) -> dict[str, Standing]:
        """Raises CannotBackUp where a store can't be read."""
        return {name: _standing(name, snapshot) for name, snapshot in self.snapshots.items()}


@contextmanager
def cut(files: Mapping[str, Path], clock: Clock = utc_now, patience: float = PATIENCE) -> Iterator[Cut]:
    """Holds a cut through all these stores. Nobody who writes waits for it; their write-ahead logs grow until it is let go. Raises CannotBackUp."""
    with ExitStack() as stack:
        snapshots = {name: stack.enter_context(closing(_open(file))) for name, file in files.items()}
        watches = [stack.enter_context(closing(_open(file))) for file in files.values()]
        yield _taken(snapshots, watches, clock, time.monotonic() + patience)


def misfits(standings: Mapping[str, Standing]) -> list[str]:
    """A sentence for each consumer that is ahead of the log it follows: what would be written there next, it would pass over."""
    return [
        f"{context}: {consumer} has handled {source}'s log up to {position}, which goes up to {standings[source].head}"
        for context, standing in standings.items()
        for consumer, positions in standing.consumers.items()
        for source, position in positions.items()
        if source in standings and position > standings[source].head
    ]


def _taken(snapshots: Mapping[str, sqlite3.Connection], watches: Sequence[sqlite3.Connection], clock: Clock, deadline: float) -> Cut:
    tries = 0
    while True:
        tries, began = tries + 1, time.monotonic()
        before = _changes(watches)
        for snapshot in snapshots.values():
            snapshot.execute("begin")
            snapshot.execute(_LOOK).fetchone()  # a transaction takes its snapshot with its first read
        at = clock()
        if _changes(watches) == before:
            return Cut(snapshots, at, tries, time.monotonic() - began)
        for snapshot in snapshots.values():
            snapshot.rollback()
        if time.monotonic() > deadline:
            raise CannotBackUp(f"{tries} times the shop wrote something just while its stores were looked at: try again when less is going on")
        time.sleep(BREATH)


def _changes(watches: Sequence[sqlite3.Connection]) -> list[int]:
    """A number for each store that is another one once somebody has committed something to it."""
    return [watch.execute("pragma data_version").fetchone()[0] for watch in watches]


def _open(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)
    connection.execute(_LOOK).fetchone()  # reads the schema, which then takes no time of a try
    return connection


def _standing(name: str, snapshot: sqlite3.Connection) -> Standing:
    consumers: dict[str, dict[str, int]] = {}
    try:
        for consumer, source, position in snapshot.execute("select consumer, source, position from consumer_position order by consumer, source"):
            consumers.setdefault(consumer, {})[source] = position
        return Standing(snapshot.execute("select coalesce(max(position), 0) from log").fetchone()[0], consumers)
    except sqlite3.DatabaseError as error:
        raise CannotBackUp(f"{name} cannot be read: {error}") from error
