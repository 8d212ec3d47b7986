"""`torg backup`, `torg backup-key` and `torg restore`, as a person meets them."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Self

import msgspec
from cyclopts import Parameter
from pyrage.x25519 import Recipient
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from torg.kit import settings as settings_
from torg.kit import values
from torg.kit.scrubbing import clean
from torg.opening import running_engines
from torg.recovery import servers
from torg.recovery.archive import Manifest
from torg.recovery.backup import Backing, Made, back_up
from torg.recovery.chain import read_moment, told
from torg.recovery.errors import CannotBackUp, CannotRestore
from torg.recovery.follow import follow
from torg.recovery.keys import make_key, recipients
from torg.recovery.restore import restore as restore_
from torg.recovery.restore import restore_moment

ELSEWHERE: Final = ("db", "bus", "redis", "documents", "facts")
"""Engines that keep what is in no file of the data folder. The search index is not missed: it is built anew."""
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
MODEST: Final = 10  # how far it stands back where processors are scarce: people who order go first


def backup(to: Path, *, every: float | None = None, keep: int = 14, data: Path | None = None, key_file: Path | None = None, embedded: bool = False) -> None:
    """Write everything that a shop keeps into one file, of one and the same instant, while it goes on selling. Nobody who orders waits for it.

    Parameters
    ----------
    to
        The new file: shop.torg; with --every a folder.
    every
        Goes on until it is told to end: adds what has changed every so many seconds, so that the shop can be brought back to any of these moments.
    keep
        With --every: days after which what was written is deleted.
    data
        The shop's data folder (TORG_DATA, var/ in the checkout).
    key_file
        Keys of the age format, a line each: encrypts the backup for these. Public ones (age1…) are enough.
    embedded
        The shop on this folder runs on its files, whatever engines the settings or `torg engines` name.
    """

    def work() -> None:
        settings = settings_.load(os.environ, {"data": str(data)} if data else {})
        folder, for_whom = Path(settings.data), recipients(key_file) if key_file else ()
        if not embedded:
            settings = _on_engines(settings, folder)
            if servers.homes(settings):
                _back_up_servers(settings, to, for_whom, every)
                return
            _refuse_servers(settings)
        os.nice(MODEST)
        if every is not None:
            follow(Backing(folder, for_whom, values.utc_now, lambda *_: None), to, every, keep)
            return
        with _Telling() as telling:
            made = back_up(folder, to, for_whom, values.utc_now, telling)
        print(_summary(made, to))  # noqa: T201 it is a command

    or_explain(work, to, Path(data or os.environ.get("TORG_DATA") or settings_.Settings().data))


def backup_key(file: Path) -> None:
    """Make a key that backups are encrypted with. Keep the file elsewhere than the backups, and not on this machine alone: without it nobody can read them.

    Parameters
    ----------
    file
        The new file. `torg backup --key-file` takes it, or one with just the public key that is told; `torg restore` takes the file itself.
    """
    or_explain(lambda: print(f"public key: {make_key(file, values.utc_now)}"))  # noqa: T201 it is a command


def restore(
    backup: Path,
    to: Path | None = None,
    *,
    until: str = "",
    list_: Annotated[bool, Parameter(name="--list", negative="")] = False,
    key_file: Path | None = None,
) -> None:
    """Make a data folder of a backup, after its checksums were compared. `torg up --data TO` then opens the shop as it was at that instant.

    Parameters
    ----------
    backup
        The file that `torg backup` wrote, or the folder that `torg backup --every` writes to.
    to
        The folder: a new one, or one that is empty.
    until
        Of a folder: goes back to the newest moment that is not after this one (2026-11-22T11:30:00Z). Without it, to the newest there is.
    list_
        Of a folder: tells which moments there are to go back to.
    key_file
        The secret key of an encrypted backup.
    """

    def work() -> None:
        if list_:
            print("\n".join(told(backup)))  # noqa: T201 it is a command
            return
        if to is None:
            raise CannotRestore("name the folder to restore to, a new one or one that is empty; or --list")
        wanted = read_moment(until, values.utc_now()) if until else None
        settings = settings_.load(os.environ, {"data": str(to)})

        def fill(unpacked: Path, manifest: Manifest) -> None:
            for table in servers.fill(unpacked, manifest, settings, values.utc_now):
                print(f"left out: {table}, which no migration makes", file=sys.stderr)  # noqa: T201 it is a command

        if backup.is_dir():
            manifest = restore_moment(backup, to, wanted, key_file)
        elif wanted is None:
            manifest = restore_(backup, to, key_file, fill)
        else:
            raise CannotRestore(f"{backup} is of one instant: --until goes with the folder that torg backup --every writes to")
        print(f"{to} holds the shop of {manifest.at}. Open it with: torg up --data {to}")  # noqa: T201 it is a command

    or_explain(work, *([to] if to else []))


def _on_engines(settings: settings_.Settings, data: Path) -> settings_.Settings:
    """With the engines that `torg engines` runs on the folder, where the settings name no database."""
    return settings if settings.db or settings.databases else msgspec.structs.replace(settings, **running_engines(data))


def _back_up_servers(settings: settings_.Settings, to: Path, for_whom: Sequence[Recipient], every: float | None) -> None:
    if every is not None:
        raise CannotBackUp(
            "--every is for a shop on embedded engines: PostgreSQL goes back to any moment with its own archived log (docs/operations.md says how)"
        )
    made = servers.back_up(settings, to, for_whom, values.utc_now)
    print(_summary(made, to))  # noqa: T201 it is a command


def _refuse_servers(settings: settings_.Settings) -> None:
    """Raises CannotBackUp where some of what the shop keeps is on servers, and its records are in files, or in both."""
    named = [f"TORG_{name.upper()}" for name in ELSEWHERE if getattr(settings, name)]
    named += [f"TORG_{context.upper()}_DB" for context in settings.databases]
    if named:
        raise CannotBackUp(
            f"{', '.join(named)}: this shop keeps some of its records on servers and others in files, and there is no instant that both know of: stop it, "
            "and back each up with its own tool. If it runs on the folder's files all the same, say --embedded"
        )


def _summary(made: Made, to: Path) -> str:
    events = sum(standing.head for standing in made.manifest.stores.values())
    cut = f"the cut took {made.seconds * 1000:.1f} ms and {made.tries} {'try' if made.tries == 1 else 'tries'}"
    return f"{to}: {made.size / 1e6:,.1f} MB, the shop of {made.manifest.at} with {events:,} log rows in {len(made.manifest.stores)} stores; {cut}"


class _Telling:
    """A bar on standard error where somebody looks on."""

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        columns = (TextColumn("  {task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name)
        self._bar.update(self._tasks[name], completed=done, total=total)


def or_explain(work: Callable[[], None], *places: Path) -> None:
    """`places`: where it writes, of which the one that is full is not always the one that somebody thinks of."""
    try:
        work()
    except settings_.BadSettings as error:
        print(f"torg: {clean(str(error))}", file=sys.stderr)  # noqa: T201 it is a command
        sys.exit(2)
    except (CannotBackUp, CannotRestore, OSError, sqlite3.Error) as error:
        room = [f"{place} has room for {_free(place) / 1e6:,.1f} MB" for place in places] if getattr(error, "errno", 0) in FULL else []
        sys.exit(f"torg: {clean('; '.join([str(error), *room]))}")


def _free(place: Path) -> int:
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(there).free
