"""`torg backup --every`: goes on writing what has changed, until it is told to end."""

from __future__ import annotations

import fcntl
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, TextIO

from torg.recovery.archive import Manifest
from torg.recovery.backup import Backing, Made
from torg.recovery.chain import Following, drop_older
from torg.recovery.errors import CannotBackUp

SOONEST: Final = 1.0  # seconds between two cuts


def follow(backing: Backing, folder: Path, every: float, keep: int) -> None:
    """Writes to the folder until SIGINT or SIGTERM. What stands in the way of the first backup ends it; later it is told, and tried again when the next one
    is due. Raises CannotBackUp, OSError or sqlite3.Error."""
    if every < SOONEST:
        raise CannotBackUp(f"--every {every:g}: {SOONEST:g} second is the least")
    if keep < 1:
        raise CannotBackUp(f"--keep {keep}: keep a day at least")
    with _alone(folder), _until_told() as ending, closing(Following(backing, folder)) as following:
        began = time.monotonic()
        _tell(following.go_on(), began)
        while not ending.wait(max(0.0, began + every - time.monotonic())):
            began = time.monotonic()
            try:
                _tell(following.go_on(), began)
                drop_older(folder, backing.clock() - timedelta(days=keep), lambda chain: _say(f"{chain} is older than {keep} days: deleted"))
            except (CannotBackUp, OSError, sqlite3.Error) as error:
                _say(f"torg: {error}; it is tried again in {every:g} s", sys.stderr)


def _tell(made: Made | None, began: float) -> None:
    if made is None:
        return
    what = "the whole shop" if made.manifest.step is None else _changes(made.manifest)
    _say(f"{made.manifest.at}  {what}, {made.size / 1e6:,.2f} MB in {time.monotonic() - began:.2f} s")


def _changes(manifest: Manifest) -> str:
    changed = [name.partition("/")[0] for name in manifest.step.stores] if manifest.step else []
    return f"changes of {', '.join(changed)}" if changed else "changed settings"


def _say(text: str, to: TextIO | None = None) -> None:
    print(text, file=to or sys.stdout, flush=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotBackUp(f"another torg backup writes to {folder}: name another folder") from error
        yield


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by the signals that end it; a backup that is being written then is completed."""
    ending = threading.Event()
    before = {number: signal.signal(number, lambda *_: ending.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
