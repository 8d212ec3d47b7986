"""Moments at which a crash would hurt most, by name. A rehearsal that has armed one (TORG_FAILPOINTS) has the process that reaches it die there, as by SIGKILL.

The setting names a folder. A file in it with a failpoint's name as its own arms that one for whichever process comes by first, `<failpoint>@<process>` for one
of them. Who takes the file dies, and leaves it as `<failpoint>.<process>.died`. Without the setting nothing is ever looked at."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

Name = Literal[
    "before commit", "after commit", "before answer", "before publish", "after publish", "in batch", "before position", "before ack",
    "before acquirer", "after acquirer", "before webhook answer",
]  # fmt: skip
NAMES: Final[Mapping[str, str]] = {
    "before commit": "a transaction's statements are done, its commit has not begun: nothing of it may show",
    "after commit": "the commit is durable, nobody has been told: neither who waits for it, nor those who follow the log",
    "before answer": "a request that changes something took effect, its answer has not left",
    "before publish": "the relay has read rows of its log, Kafka has none of them",
    "after publish": "Kafka has acknowledged rows, the relay has not filed how far it is",
    "in batch": "a consumer has handled a row of a batch; others may be yet to come, and nothing is committed",
    "before position": "a consumer has handled a whole batch, its position is not filed",
    "before ack": "a consumer's effects and position are committed, its feed has not been told",
    "before acquirer": "an errand to the acquirer is filed, the acquirer has not been asked",
    "after acquirer": "the acquirer has done what it was asked, that is not filed here",
    "before webhook answer": "what an acquirer's webhook said is filed, the acquirer has not been told so",
}
"""What has happened at each of them, and what has not."""
assert set(NAMES) == set(get_args(Name)), "the type checker knows them all"
DIED: Final = ".died"


class UnknownFailpoint(Exception):
    """A sentence: which file names no failpoint, and which there are."""


@dataclass(frozen=True)
class Armed:
    """Where this process looks, as whom, and what it does at a failpoint."""

    folder: Path
    process: str
    die: Callable[[str], None]

    def reached(self, name: Name) -> None:
        died = self.folder / f"{file_name(name)}.{self.process}{DIED}"
        for file in (file_name(name), f"{file_name(name)}@{self.process}"):
            with suppress(FileNotFoundError):  # not armed, or somebody else was faster
                (self.folder / file).rename(died)
                self.die(name)


Told = Callable[[Name], None]
_told: ContextVar[Told | None] = ContextVar("failpoints", default=None)


def reached(name: Name) -> None:
    """The running code has come to this moment."""
    told = _told.get()
    if told is not None:
        told(name)


def attend(told: Told) -> Token[Told | None]:
    """From now on all that this context runs tells which moments it comes to."""
    return _told.set(told)


def watch(folder: Path, process: str, die: Callable[[str], None] | None = None) -> Token[Told | None]:
    """From now on all that this context runs looks in the folder. Raises UnknownFailpoint."""
    if not folder.is_dir():
        raise UnknownFailpoint(f"TORG_FAILPOINTS={str(folder)!r} is no folder: make it, or leave the setting out")
    for file in sorted(file.name for file in folder.iterdir() if not file.name.endswith(DIED)):
        refuse_unknown(file.partition("@")[0].replace("-", " "))
    return attend(Armed(folder, process, die or _die).reached)


def leave(token: Token[Told | None]) -> None:
    """Undoes `attend` and `watch`, in the context that called it."""
    _told.reset(token)


def arm(folder: Path, name: str, process: str = "") -> Path:
    """Has the next one that comes to this moment die, or the next of these processes; the file is gone once it did. Raises UnknownFailpoint."""
    refuse_unknown(name)
    file = folder / (file_name(name) + (f"@{process}" if process else ""))
    file.touch()
    return file


def refuse_unknown(name: str) -> None:
    """Raises UnknownFailpoint."""
    if name not in NAMES:
        raise UnknownFailpoint(f"there is no failpoint {name!r}; these are: {', '.join(NAMES)}")


def file_name(name: str) -> str:
    """The name of the file that arms it."""
    return name.replace(" ", "-")


def _die(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
