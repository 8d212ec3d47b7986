"""Makes a data folder of a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torg.recovery.archive import Manifest, is_sealed, unpack, unseal
from torg.recovery.cut import misfits
from torg.recovery.errors import CannotRestore
from torg.recovery.keys import identities

FOLDER = "restoring"


def restore(backup: Path, to: Path, key_file: Path | None) -> Manifest:
    """Fills a folder that is new or empty, with everything or with nothing. The search index is left to the next start. Raises CannotRestore or OSError."""
    if not backup.is_file():
        raise CannotRestore(f"there is no file {backup}")
    if key_file is None and is_sealed(backup):
        raise CannotRestore(f"{backup} is encrypted: name the file of its key with --key-file")
    if key_file is not None and not is_sealed(backup):
        raise CannotRestore(f"{backup} is not encrypted, so it may be anybody's: leave --key-file out if you trust it all the same")
    with _new_folder(to) as unfinished:
        manifest = unpack(_opened(backup, key_file, to / FOLDER / "opened"), unfinished)
        if ahead := misfits(manifest.stores):
            raise CannotRestore(f"what {backup} holds does not fit together: {'; '.join(ahead)}")
    return manifest


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
