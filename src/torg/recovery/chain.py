"""A chain of backups: a whole one, and steps with the pages that have changed since the one before. Each is a cut through all stores, so that the shop can be
brought back to any of them. A day's chain is a folder of files that are named by their number and the moment of their cut."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from torg.kit.values import moment, stamp
from torg.recovery.archive import Grown, Manifest, Packing, Step
from torg.recovery.backup import BEFORE, CHANGED, LETTERS, Backing, Made, file_of, stores_of, sync, work_folder
from torg.recovery.errors import CannotRestore

PAGES: Final = ".pages"
ANEW: Final = timedelta(days=1)  # after which a chain ends and another one begins
DIGEST: Final = 16  # bytes by which a page is known again
NUMBERED: Final = 4  # bytes of its number
_NAME: Final = re.compile(r"(\d{4,})-(\d{4}-\d\d-\d\dT)(\d\d)(\d\d)(\d\d\.\d{6}Z)\.torg")


# ---------------------------------------------------------------- writing


class Following:
    """Writes one chain after another into a folder. What a store's pages were is known as long as it lives: another one begins with a whole backup."""

    def __init__(self, backing: Backing, folder: Path) -> None:
        self._backing, self._folder, self._unnamed = backing, folder, folder / "unnamed"
        self._chain, self._number, self._began = folder, -1, ""
        self._last: Manifest | None = None
        self._pages: dict[str, bytes] = {}
        self._watched = _Watched(backing.data)

    def go_on(self) -> Made | None:
        """Adds what has changed, or begins a chain; None where nothing has. What fails leaves all as it was: the next one may go on."""
        with work_folder(self._backing.data) as work:
            last, now = self._last, self._backing.clock()
            if last is None or not timedelta() <= now - moment(self._began) < ANEW:
                return self._begin(work)
            return self._step(work, last)

    def close(self) -> None:
        self._watched.close()

    def _begin(self, work: Path) -> Made:
        before, pages = self._watched.look(), dict[str, bytes]()

        def put(archive: Packing, name: str, copy: Path) -> None:
            pages[name] = b"".join(digest for _, digest in _pages(copy))
            archive.add(name, copy)

        self._folder.mkdir(parents=True, exist_ok=True)
        made = self._backing.write(self._unnamed, work, put)
        self._began = made.manifest.at
        self._chain, self._number = self._folder / _compact(self._began), -1
        self._chain.mkdir()
        return self._done(made, pages, before)

    def _step(self, work: Path, last: Manifest) -> Made | None:
        before, pages, changed = self._watched.look(), dict(self._pages), dict[str, Grown]()

        def put(archive: Packing, name: str, copy: Path) -> None:
            pages[name], changed[name] = _changed(copy, self._pages.get(name, b""), work / CHANGED)
            archive.add(name + PAGES, work / CHANGED)

        made = self._backing.write(self._unnamed, work, put, lambda: Step(last.at, changed), self._watched.unchanged)
        if not changed and all(made.manifest.parts.get(name) == last.parts.get(name) for name in BEFORE):
            self._unnamed.unlink()
            return None
        return self._done(made, pages, before)

    def _done(self, made: Made, pages: dict[str, bytes], before: dict[str, int]) -> Made:
        self._number += 1
        self._unnamed.rename(self._chain / name_of(self._number, made.manifest.at))
        for folder in (self._chain, self._folder):
            sync(folder)
        self._last, self._pages, self._watched.seen = made.manifest, pages, before
        return made


class _Watched:
    """Tells which files nobody has written to since the last cut, so that they need not be read."""

    def __init__(self, data: Path) -> None:
        self._data, self._open = data, dict[str, sqlite3.Connection]()
        self.seen: dict[str, int] = {}

    def look(self) -> dict[str, int]:
        """A number for each file, another one once somebody has committed something to it."""
        for name in (*map(file_of, stores_of(self._data)), LETTERS):
            if name not in self._open and (self._data / name).exists():
                self._open[name] = sqlite3.connect(f"{(self._data / name).absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=10)
        return {name: connection.execute("pragma data_version").fetchone()[0] for name, connection in self._open.items()}

    def unchanged(self) -> set[str]:
        return {name for name, number in self.look().items() if self.seen.get(name) == number}

    def close(self) -> None:
        with ExitStack() as stack:
            for connection in self._open.values():
                stack.enter_context(closing(connection))


def _pages(file: Path) -> Iterator[tuple[bytes, bytes]]:
    """Each page, and the digest by which it is known again."""
    size = _page_size(file)
    with file.open("rb") as content:
        while page := content.read(size):
            yield page, hashlib.blake2b(page, digest_size=DIGEST).digest()


def _changed(copy: Path, known: bytes, to: Path) -> tuple[bytes, Grown]:
    """Writes the pages that are not as they were; all pages' digests, and what they make of the store."""
    digests, whole = bytearray(), hashlib.sha256()
    with to.open("wb") as written:
        for number, (page, digest) in enumerate(_pages(copy), start=1):
            whole.update(page)
            if known[len(digests) : len(digests) + DIGEST] != digest:
                written.write(number.to_bytes(NUMBERED, "big") + page)
            digests += digest
    return bytes(digests), Grown(_page_size(copy), copy.stat().st_size, whole.hexdigest())


def _page_size(file: Path) -> int:
    with file.open("rb") as content:
        size = int.from_bytes(content.read(18)[16:], "big")
    return 65536 if size == 1 else size


# ---------------------------------------------------------------- finding


@dataclass(frozen=True)
class Link:
    """A file of a chain, and the moment that it brings back with those before it."""

    file: Path
    number: int
    at: datetime


@dataclass(frozen=True)
class Found:
    """The links of one chain, in their order."""

    links: Sequence[Link]

    @property
    def folder(self) -> Path:
        return self.links[0].file.parent

    def missing(self, until: int) -> int | None:
        """The first number that is not there, up to one."""
        there = {link.number for link in self.links}
        return next((number for number in range(until + 1) if number not in there), None)

    @property
    def whole(self) -> Sequence[Link]:
        """Those before the first that is missing."""
        gap = self.missing(self.links[-1].number)
        return self.links if gap is None else [link for link in self.links if link.number < gap]


def find(folder: Path) -> list[Found]:
    """The chains in a folder, oldest first. Raises CannotRestore where there is none."""
    if not folder.is_dir():
        raise CannotRestore(f"{folder} is no folder: moments to go back to are in the folder that torg backup --every writes to")
    chains = [links for inner in sorted(folder.iterdir()) if inner.is_dir() and (links := sorted(_links(inner), key=lambda link: link.number))]
    if not chains:
        raise CannotRestore(f"{folder} holds no chain of backups: torg backup {folder} --every 60 writes one")
    return [Found(links) for links in chains]


def told(folder: Path) -> Iterator[str]:
    """Lines for people: the moments to go back to. Raises CannotRestore."""
    for chain in find(folder):
        whole = chain.whole
        for link in chain.links:
            lost = "" if link in whole else "   cannot be restored: one before it is missing"
            yield f"{stamp(link.at)}  {link.file.stat().st_size / 1e6:9,.2f} MB  {'whole' if link.number == 0 else 'step'}{lost}"


def name_of(number: int, at: str) -> str:
    return f"{number:04}-{_compact(at)}.torg"


def _compact(at: str) -> str:
    return at.replace(":", "")


def _links(chain: Path) -> Iterator[Link]:
    for file in chain.iterdir():
        if named := _NAME.fullmatch(file.name):
            number, day, hour, minute, second = named.groups()
            yield Link(file, int(number), moment(f"{day}{hour}:{minute}:{second}"))


def choose(chains: Sequence[Found], until: datetime | None) -> tuple[Found, Link]:
    """The newest moment that is not after the one asked for. Raises CannotRestore where there is none, or a link before it is missing."""
    links = [(chain, link) for chain in chains for link in chain.links]
    fitting = [(chain, link) for chain, link in links if until is None or link.at <= until]
    if not fitting:
        first = min(link.at for _, link in links)
        raise CannotRestore(f"the first moment to go back to is {stamp(first)}, and {stamp(until) if until else ''} is before it")
    chain, link = max(fitting, key=lambda one: one[1].at)
    if (gap := chain.missing(link.number)) is not None:
        raise CannotRestore(f"number {gap:04} of {chain.folder} is missing, and {link.file.name} builds on it; {good_before(chains, chain, gap)}")
    return chain, link


def good_before(chains: Sequence[Found], chain: Found, number: int) -> str:
    """A sentence: the newest moment that needs nothing of a chain from a number on."""
    own = [link for link in chain.whole if link.number < number]
    older = [link for other in chains if other.links[0].at < chain.links[0].at for link in other.whole]
    links = own or older
    if not links:
        return "no moment before that can be restored"
    return f"the newest moment before that can be restored is {stamp(max(link.at for link in links))}: say it with --until"


def put_in_place(data: Path, parts: Path, manifest: Manifest, before: str) -> None:
    """Makes of a folder as it was `before` what it was at the manifest's moment. Raises CannotRestore."""
    step = manifest.step
    if step is None or step.before != before:
        raise CannotRestore(f"the backup of {manifest.at} does not follow that of {before}")
    for name, grown in step.stores.items():
        _patch(data / name, parts / (name + PAGES), grown, manifest)
    for name in manifest.parts:
        if not name.endswith(PAGES):
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (parts / name).replace(data / name)


def _patch(store: Path, pages: Path, grown: Grown, manifest: Manifest) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    store.touch(mode=0o600)
    with store.open("r+b") as file, pages.open("rb") as changed:
        while record := changed.read(NUMBERED + grown.page):
            file.seek((int.from_bytes(record[:NUMBERED], "big") - 1) * grown.page)
            file.write(record[NUMBERED:])
        file.truncate(grown.size)
    with store.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != grown.sha256:
            raise CannotRestore(f"{store.name} of {manifest.at} is not what it was: a backup before it is damaged")


# ---------------------------------------------------------------- retention


def drop_older(folder: Path, before: datetime, told: Callable[[Path], object]) -> None:
    """Deletes chains whose newest moment is before this one, steps first; the newest chain stays."""
    for chain in find(folder)[:-1]:
        if chain.links[-1].at < before:
            for link in reversed(chain.links):
                link.file.unlink()
            chain.folder.rmdir()
            told(chain.folder)


def read_moment(text: str, now: datetime) -> datetime:
    """Raises CannotRestore, with what would be right, for a moment that says no zone, is none, or is still to come."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise CannotRestore(f"--until {text!r} is no moment: write it as {stamp(now)[:19]}Z") from error
    if found.tzinfo is None:
        raise CannotRestore(f"--until {text} says no time zone: add Z for UTC, or as +03:00, the zone's distance from it")
    if found > now:
        raise CannotRestore(f"--until {text} is still to come: it is {stamp(now)[:19]}Z now")
    return found.astimezone(UTC)
