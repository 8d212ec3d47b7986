"""Backs a data folder up, whether a shop is open on it or not, and however many processes that has."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyrage.x25519 import Recipient

from torg import topology
from torg.kit.values import Clock, stamp
from torg.recovery.archive import Manifest, Packing, packing, seal
from torg.recovery.cut import Cut, cut, misfits
from torg.recovery.errors import CannotBackUp

BEFORE: Final = ("secret", "acquirer/secret", "demo-password", "demonstration.json", "replay-secret", "replay.ndjson")
"""Small files that may say less than the stores, and never more: what was done is noted after it was."""
LETTERS: Final = "notification/mailbox/letters.db"
"""What has left may be told twice, and must not be missing: copied after the cut."""
FOLDER: Final = "backing-up"
COPY, PACKED = "copy.db", "packed"
PAGES = 2048  # of a store, copied at a time

Tell = Callable[[str, int, int], None]
"""Hears what is being copied, how much of it is, and of how much."""


@dataclass(frozen=True)
class Made:
    """A backup that is complete, and what its cut took."""

    manifest: Manifest
    size: int
    tries: int
    seconds: float


def back_up(data: Path, to: Path, recipients: Sequence[Recipient], clock: Clock, tell: Tell) -> Made:
    """Writes a backup: under another name until it is complete. Raises CannotBackUp, OSError or sqlite3.Error."""
    stores = stores_of(data)
    if to.exists():
        raise CannotBackUp(f"{to} is there already: name a new file")
    refuse_full(data, stores, shutil.disk_usage(data).free)
    to.parent.mkdir(parents=True, exist_ok=True)
    with _work_folder(data) as work, _until_complete(to) as unfinished:
        packed = work / PACKED if recipients else unfinished
        with packing(packed) as archive:
            manifest, taken = _pack(archive, data, stores, work, clock, tell)
        if recipients:
            seal(packed, unfinished, recipients)
        return Made(manifest, unfinished.stat().st_size, taken.tries, taken.seconds)


def stores_of(data: Path) -> dict[str, Path]:
    """The stores in a data folder. Raises CannotBackUp where some are missing, or all."""
    files = {name: data / name / f"{name}.db" for name in (*topology.CONTEXTS, topology.SANDBOX)}
    missing = [name for name, file in files.items() if not file.exists() and name != topology.SANDBOX]
    if missing:
        raise CannotBackUp(f"{data} holds no shop on embedded engines, or not all of one ({', '.join(missing)} missing): name its folder with --data")
    return {name: file for name, file in files.items() if file.exists()}


def refuse_full(data: Path, stores: Mapping[str, Path], free: int) -> None:
    """A shop that runs must not find its disk full on account of a backup. Raises CannotBackUp."""
    largest = max(file.stat().st_size for file in stores.values())
    if free < 2 * largest:
        raise CannotBackUp(f"{data} has room for {free / 1e6:,.1f} MB, and a copy of the largest store takes {largest / 1e6:,.1f} MB: leave twice as much free")


def _pack(archive: Packing, data: Path, stores: Mapping[str, Path], work: Path, clock: Clock, tell: Tell) -> tuple[Manifest, Cut]:
    for name in BEFORE:
        if (data / name).exists():
            archive.add(name, data / name)
    with cut(stores) as taken:
        at, standings = stamp(clock()), taken.standings()
        if ahead := misfits(standings):
            raise CannotBackUp(f"what this folder holds does not fit together: {'; '.join(ahead)}")
        for name, snapshot in taken.snapshots.items():
            _add_copy(archive, f"{name}/{name}.db", snapshot, work, tell)
    if (data / LETTERS).exists():
        with closing(sqlite3.connect(data / LETTERS, timeout=10)) as letters:
            _add_copy(archive, LETTERS, letters, work, tell)
    return archive.close(at, standings), taken


def _add_copy(archive: Packing, name: str, store: sqlite3.Connection, work: Path, tell: Tell) -> None:
    """Raises CannotBackUp where the copy is broken: the store then is as well, and no older backup should give way to this one."""
    copy = work / COPY
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("pragma synchronous=off")
        store.backup(target, pages=PAGES, progress=lambda _, left, pages: tell(name, pages - left, pages))
        _refuse_broken(name, target)
        target.execute("pragma journal_mode=delete")
    archive.add(name, copy)
    copy.unlink()


def _refuse_broken(name: str, copy: sqlite3.Connection) -> None:
    try:
        found = [row[0] for row in copy.execute("pragma quick_check(3)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise CannotBackUp(f"{name} is damaged: {'; '.join(found)}")


@contextmanager
def _work_folder(data: Path) -> Iterator[Path]:
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
    for name in (COPY, f"{COPY}-journal", PACKED):
        (work / name).unlink(missing_ok=True)


@contextmanager
def _until_complete(to: Path) -> Iterator[Path]:
    """The file's name while it is written; it has its own once the block has ended well, and that survives a loss of power."""
    unfinished = to.with_name(f"{to.name}.unfinished")
    try:
        yield unfinished
        unfinished.replace(to)
        folder = os.open(to.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        unfinished.unlink(missing_ok=True)
