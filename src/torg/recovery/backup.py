"""Backs a data folder up, whether a shop is open on it or not, and however many processes that has."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrage.x25519 import Recipient

from torg import topology
from torg.kit.beside import ENDING
from torg.kit.values import Clock, stamp
from torg.recovery.archive import Manifest, Packing, Step, packing, seal
from torg.recovery.cut import Cut, cut, misfits
from torg.recovery.errors import CannotBackUp

BEFORE: Final = ("secret", "acquirer/secret", "demo-password", "demonstration.json", "replay-secret", "replay.ndjson")
"""Small files that may say less than the stores, and never more: what was done is noted after it was."""
LETTERS: Final = "notification/mailbox/letters.db"
"""What has left may be told twice, and must not be missing: copied after the cut."""
FOLDER: Final = "backing-up"
COPY, PACKED, CHANGED = "copy.db", "packed", "changed"
PAGES = 2048  # of a store, copied at a time

Tell = Callable[[str, int, int], None]
"""Hears what is being copied, how much of it is, and of how much."""


Put = Callable[[Packing, str, Path], None]
"""Takes a store's copy, under its name, into a backup."""


@dataclass(frozen=True)
class Made:
    """A backup that is complete, and what its cut took."""

    manifest: Manifest
    size: int
    tries: int
    seconds: float


@dataclass(frozen=True)
class Backing:
    """What is backed up, for whom, and who hears of it."""

    data: Path
    recipients: Sequence[Recipient]
    clock: Clock
    tell: Tell

    def write(self, to: Path, work: Path, put: Put, step: Callable[[], Step | None] = lambda: None, leave: Callable[[], Container[str]] = tuple) -> Made:
        """Writes one backup, under another name until it is complete. `leave` is asked once the cut is taken: files that need not be copied."""
        stores = stores_of(self.data)
        refuse_full(self.data, stores, shutil.disk_usage(self.data).free)
        with until_complete(to) as unfinished:
            packed = work / PACKED if self.recipients else unfinished
            with packing(packed) as archive:
                manifest, taken = self._pack(archive, stores, work, put, step, leave)
            if self.recipients:
                seal(packed, unfinished, self.recipients)
            return Made(manifest, unfinished.stat().st_size, taken.tries, taken.seconds)

    def _pack(
        self, archive: Packing, stores: Mapping[str, Path], work: Path, put: Put, step: Callable[[], Step | None], leave: Callable[[], Container[str]]
    ) -> tuple[Manifest, Cut]:
        for name in BEFORE:
            if (self.data / name).exists():
                archive.add(name, self.data / name)
        with cut(stores, self.clock) as taken:
            standings, left = taken.standings(), leave()
            if ahead := misfits(standings):
                raise CannotBackUp(f"what this folder holds does not fit together: {'; '.join(ahead)}")
            for name, snapshot in taken.snapshots.items():
                if (file := file_of(name)) not in left:
                    add_copy(archive, file, snapshot, work, put, self.tell)
        if (self.data / LETTERS).exists() and LETTERS not in left:
            with closing(sqlite3.connect(self.data / LETTERS, timeout=10)) as letters:
                add_copy(archive, LETTERS, letters, work, put, self.tell)
        return archive.close(stamp(taken.at), standings, step()), taken


def add_copy(archive: Packing, name: str, store: sqlite3.Connection, work: Path, put: Put, tell: Tell = lambda *_: None) -> None:
    """Raises CannotBackUp where the copy is broken: the store then is as well, and no older backup should give way to this one."""
    copy = work / COPY
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("pragma synchronous=off")
        store.backup(target, pages=PAGES, progress=lambda _, left, pages: tell(name, pages - left, pages))
        _refuse_broken(name, target)
        target.execute("pragma journal_mode=delete")
    put(archive, name, copy)
    copy.unlink()


def back_up(data: Path, to: Path, recipients: Sequence[Recipient], clock: Clock, tell: Tell) -> Made:
    """Writes a backup. Raises CannotBackUp, OSError or sqlite3.Error."""
    stores_of(data)
    if to.exists():
        raise CannotBackUp(f"{to} is there already: name a new file")
    to.parent.mkdir(parents=True, exist_ok=True)
    with work_folder(data) as work:
        return Backing(data, recipients, clock, tell).write(to, work, Packing.add)


def file_of(store: str) -> str:
    """Where it is in the data folder, and in a backup."""
    return f"{store}/{store}.db"


def stores_of(data: Path) -> dict[str, Path]:
    """The stores in a data folder. Raises CannotBackUp where some are missing, or all."""
    files = {name: data / file_of(name) for name in (*topology.CONTEXTS, topology.SANDBOX)}
    missing = [name for name, file in files.items() if not file.exists() and name != topology.SANDBOX]
    if missing:
        raise CannotBackUp(f"{data} holds no shop on embedded engines, or not all of one ({', '.join(missing)} missing): name its folder with --data")
    return {name: file for name, file in files.items() if file.exists()}


def refuse_full(data: Path, stores: Mapping[str, Path], free: int) -> None:
    """A shop that runs must not find its disk full on account of a backup. Raises CannotBackUp."""
    largest = max(file.stat().st_size for file in stores.values())
    if free < 2 * largest:
        raise CannotBackUp(f"{data} has room for {free / 1e6:,.1f} MB, and a copy of the largest store takes {largest / 1e6:,.1f} MB: leave twice as much free")


def _refuse_broken(name: str, copy: sqlite3.Connection) -> None:
    try:
        found = [row[0] for row in copy.execute("pragma quick_check(3)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise CannotBackUp(f"{name} is damaged: {'; '.join(found)}")


@contextmanager
def work_folder(data: Path) -> Iterator[Path]:
    """For copies that are about to be packed, where the originals are: nobody sees more of them there than before. One backup at a time."""
    work = data / FOLDER
    work.mkdir(mode=0o700, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotBackUp(f"another backup of {data} is under way: wait until it has ended") from error
        _empty(work)  # of what a backup that was killed left there
        try:
            yield work
        finally:
            _empty(work)


def _empty(work: Path) -> None:
    """Takes away what is made here and nothing else: somebody may have chosen the folder for other things."""
    for name in (COPY, f"{COPY}-journal", PACKED, CHANGED, *(file.name for file in work.glob(f"*{ENDING}"))):
        (work / name).unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Has the names in a folder survive a loss of power."""
    opened = os.open(folder, os.O_RDONLY)
    os.fsync(opened)
    os.close(opened)


@contextmanager
def until_complete(to: Path) -> Iterator[Path]:
    """The file's name while it is written; it has its own once the block has ended well, and that survives a loss of power."""
    unfinished = to.with_name(f"{to.name}.unfinished")
    try:
        yield unfinished
        unfinished.replace(to)
        sync(to.parent)
    finally:
        unfinished.unlink(missing_ok=True)
