"""The keys of a fleet's services as files of a folder: `<service>/key` is its own alone, `public/<service>` for everybody; a key a line, the newest first."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from torg.kit import telemetry
from torg.kit.rpc.identity import SEED, KeyPair, PublicKey, bytes_of, text_of
from torg.kit.secrets import kept_secret
from torg.kit.values import Randomness

T = TypeVar("T")
LOOK_EVERY: Final = 1.0  # seconds between looks at the files
AGAIN: Final = 0.2  # … and between looks for keys of strangers, who may be very many
PUBLIC: Final = "public"


class BadKeys(Exception):
    """A sentence: what was wrong and what would be right."""


class KeyFolder:
    """Implements Keys for the services that run here; changed files are read again. Raises BadKeys where one of these services has no key."""

    def __init__(self, folder: Path, services: Collection[str]) -> None:
        self.version = 0
        self._folder, self._services = folder, tuple(services)
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self._pairs: dict[str, Sequence[KeyPair]] = {}
        self._public: dict[str, Sequence[PublicKey]] = {}
        self._fruitless = 0.0
        self._read(self._stamps())
        if missing := [service for service in services if not self._pairs.get(service)]:
            raise BadKeys(f"{folder} has no key of {', '.join(missing)}: torg identities make --identities {folder}, or name another folder (TORG_IDENTITIES)")

    def own(self, service: str) -> Sequence[KeyPair]:
        return self._pairs.get(service, ())

    def known(self, service: str) -> Sequence[PublicKey]:
        return self._public.get(service, ())

    def services(self) -> Collection[str]:
        return self._public.keys()

    def look(self) -> None:
        now = time.monotonic()
        if now - self._fruitless > AGAIN and not self._look():
            self._fruitless = now

    async def run(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(LOOK_EVERY)

    def _look(self) -> bool:
        """Whether there was anything new."""
        try:
            if (stamps := self._stamps()) == self._seen:
                return False
            self._read(stamps)
        except (OSError, BadKeys) as error:  # what was known stays
            telemetry.log.error("the keys of services cannot be read", folder=str(self._folder), error=str(error))
            return False
        return True

    def _stamps(self) -> tuple[tuple[str, int, int], ...]:
        return tuple((str(file), stat.st_mtime_ns, stat.st_ino) for file in self._files() if (stat := file.stat()))

    def _files(self) -> list[Path]:
        own = [file for service in self._services if (file := _private(self._folder, service)).exists()]
        public = self._folder / PUBLIC
        return [*own, *sorted(file for file in public.iterdir() if _is_key(file))] if public.is_dir() else own

    def _read(self, stamps: tuple[tuple[str, int, int], ...]) -> None:
        files = [Path(name) for name, *_ in stamps]
        pairs = {file.parent.name: _keys(file, KeyPair) for file in files if file.parent.name != PUBLIC}
        public = {file.name: _keys(file, PublicKey) for file in files if file.parent.name == PUBLIC}
        self._pairs, self._public, self._seen = pairs, public, stamps
        self.version += 1


def make_missing(folder: Path, services: Iterable[str], randomness: Randomness) -> list[str]:
    """A pair for each service that has none, or none published; which these were. Processes that do so at once make the same."""
    missing = [service for service in services if not ((folder / PUBLIC / service).exists() and _private(folder, service).exists())]
    for service in missing:
        kept_secret(_private(folder, service), randomness, SEED)
        _publish(folder, service, _keys(_private(folder, service), KeyPair))
    return missing


def rotate(folder: Path, service: str, randomness: Randomness, drop: bool = False) -> None:
    """A new pair, which is used from now on; the one before it is believed as well, unless it is to be dropped. Raises BadKeys, OSError."""
    file = _private(folder, service)
    before = [] if drop or not file.exists() else [bytes_of(line) for line in _lines(file)][:1]
    _keep(folder, service, [randomness(SEED), *before])


def services_of(folder: Path) -> dict[str, Sequence[PublicKey]]:
    """What is published. Raises BadKeys."""
    public = folder / PUBLIC
    return {file.name: _keys(file, PublicKey) for file in sorted(public.iterdir()) if _is_key(file)} if public.is_dir() else {}


def _keep(folder: Path, service: str, seeds: Sequence[bytes]) -> None:
    """Its own first: who sees a public key may use it at once."""
    _write(_private(folder, service), [text_of(seed) for seed in seeds], 0o600)
    _publish(folder, service, [KeyPair(seed) for seed in seeds])


def _publish(folder: Path, service: str, pairs: Sequence[KeyPair]) -> None:
    _write(folder / PUBLIC / service, [text_of(pair.public.raw) for pair in pairs], 0o644)


def _write(file: Path, lines: Sequence[str], mode: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    fresh.touch(mode=mode)
    fresh.write_text("".join(f"{line}\n" for line in lines))
    fresh.replace(file)


def _keys(file: Path, made: Callable[[bytes], T]) -> Sequence[T]:
    try:
        return [made(bytes_of(line)) for line in _lines(file)]
    except ValueError as error:
        raise BadKeys(f"{file} holds no keys, one a line: {error}; torg identities make writes such files") from error


def _lines(file: Path) -> list[str]:
    return [line for line in map(str.strip, file.read_text().splitlines()) if line and not line.startswith("#")]


def _private(folder: Path, service: str) -> Path:
    return folder / service / "key"


def _is_key(file: Path) -> bool:
    return not file.name.startswith(".") and file.is_file()
