"""Makes a data folder of a backup."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from torg.recovery.archive import Manifest, is_sealed, unpack, unseal
from torg.recovery.chain import Link, choose, find, good_before, put_in_place
from torg.recovery.cut import misfits
from torg.recovery.errors import CannotRestore
from torg.recovery.keys import identities

FOLDER = "restoring"


Fill = Callable[[Path, Manifest], None]
"""Puts what is no file of the data folder where it belongs."""


def restore(backup: Path, to: Path, key_file: Path | None, fill: Fill | None = None) -> Manifest:
    """Fills a folder that is new or empty, with everything or with nothing. The search index is left to the next start. Raises CannotRestore or OSError."""
    if not backup.is_file():
        raise CannotRestore(f"there is no file {backup}")
    _refuse_wrong_key(backup, key_file)
    with _new_folder(to) as unfinished:
        manifest = unpack(_opened(backup, key_file, to / FOLDER / "opened"), unfinished)
        if manifest.step:
            raise CannotRestore(f"{backup} holds only what had changed since {manifest.step.before}: name the folder of its chain, and --until {manifest.at}")
        if ahead := misfits(manifest.stores):
            raise CannotRestore(f"what {backup} holds does not fit together: {'; '.join(ahead)}")
        if manifest.servers and fill:
            fill(unfinished, manifest)
    return manifest


def restore_moment(folder: Path, to: Path, until: datetime | None, key_file: Path | None) -> Manifest:
    """Fills a folder that is new or empty, with what the shop was at the newest moment of a chain that is not after `until`; as `restore` does."""
    chains = find(folder)
    chain, wanted = choose(chains, until)
    with _new_folder(to) as unfinished:
        work = to / FOLDER
        manifest: Manifest | None = None
        for link in chain.links[: wanted.number + 1]:
            try:
                manifest = _step(link, manifest, unfinished, work, key_file)
            except CannotRestore as error:
                raise CannotRestore(f"{error}; {good_before(chains, chain, link.number)}") from error
        assert manifest is not None, "a chain has a first link"
        if ahead := misfits(manifest.stores):
            raise CannotRestore(f"what {wanted.file} holds does not fit together: {'; '.join(ahead)}")
    return manifest


def _step(link: Link, last: Manifest | None, data: Path, work: Path, key_file: Path | None) -> Manifest:
    _refuse_wrong_key(link.file, key_file)
    opened, parts = work / "opened", work / "parts"
    try:
        if last is None:
            manifest = unpack(_opened(link.file, key_file, opened), data)
        else:
            manifest = unpack(_opened(link.file, key_file, opened), parts)
            put_in_place(data, parts, manifest, last.at)
    finally:
        opened.unlink(missing_ok=True)
        shutil.rmtree(parts, ignore_errors=True)
    if last is None and manifest.step is not None:
        raise CannotRestore(f"{link.file} builds on another backup: it is no first link")
    return manifest


def _refuse_wrong_key(backup: Path, key_file: Path | None) -> None:
    if key_file is None and is_sealed(backup):
        raise CannotRestore(f"{backup} is encrypted: name the file of its key with --key-file")
    if key_file is not None and not is_sealed(backup):
        raise CannotRestore(f"{backup} is not encrypted, so it may be anybody's: leave --key-file out if you trust it all the same")


def _opened(backup: Path, key_file: Path | None, opened: Path) -> Path:
    if key_file is None:
        return backup
    unseal(backup, opened, identities(key_file))
    return opened


@contextmanager
def _new_folder(to: Path) -> Iterator[Path]:
    """What is written inside is moved into the folder once the block has ended well; else the folder is as it was. It may be a volume's own, which can't be
    put in another's place."""
    fresh = not to.exists()
    if not fresh and (not to.is_dir() or any(to.iterdir())):
        raise CannotRestore(f"{to} is not empty: a backup is restored into a new folder, and nothing is written over")
    work = to / FOLDER
    unfinished = work / "data"
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        for entry in unfinished.iterdir():
            entry.rename(to / entry.name)
    except BaseException:
        shutil.rmtree(to if fresh else work)
        raise
    shutil.rmtree(work)
