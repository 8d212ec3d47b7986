"""The file that a backup is: a tar of the parts, packed with gzip, with a manifest behind them that has the SHA-256 of each; encrypted where there is a key."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from pathlib import Path, PurePosixPath
from typing import IO, Final

import msgspec
import pyrage
from pyrage.x25519 import Identity, Recipient

from torg import __version__
from torg.kit.messages import encode
from torg.recovery.cut import Standing
from torg.recovery.errors import CannotRestore
from torg.recovery.keys import MARK

WHOLE, STEP, SERVERS, WITH_BESIDE, FORMAT = 1, 2, 3, 4, 4
MANIFEST: Final = "manifest.json"
PACKING = 1  # gzip's fastest: to a fifth, in a quarter of the time that its best takes for a sixth less
CHUNK = 1 << 20
UNREADABLE = (tarfile.TarError, BadGzipFile, EOFError, zlib.error)


class Grown(msgspec.Struct, frozen=True):
    """A store as it is once its changed pages are in their places: how large they and it are, and its SHA-256."""

    page: int
    size: int
    sha256: str


class Step(msgspec.Struct, frozen=True):
    """What makes of the backup that was taken `before` the one it is in: stores by their files' names."""

    before: str
    stores: dict[str, Grown]


class Kept(msgspec.Struct, frozen=True):
    """What a context keeps on a server: which migrations made its tables, and their columns by name."""

    migrations: tuple[str, ...]
    tables: dict[str, tuple[str, ...]]


class Servers(msgspec.Struct, frozen=True):
    """Of a shop with its records on PostgreSQL: what each context, or shard of one, keeps there, and whether its messages went over a broker. `beside` is what
    was copied of other engines, with the number of rows. `documents` (MongoDB): all of them, none newer than the cut. `facts` (ClickHouse): what visitors did;
    all that is about sales is made anew from PostgreSQL when the restored shop starts."""

    broker: bool
    kept: dict[str, Kept]
    beside: dict[str, dict[str, int]] = {}


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a backup is of: the version of Torg that made it, the instant of the cut, how far each store's log went, and each part's SHA-256. One of a chain
    that is no whole backup says what it follows."""

    format: int
    torg: str
    at: str
    stores: dict[str, Standing]
    parts: dict[str, str]
    step: Step | None = None
    servers: Servers | None = None


class Packing:
    """A tar that is being written, and the checksums of what is in it."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.parts: dict[str, str] = {}

    def add(self, name: str, file: Path) -> None:
        """A file as long as it is now: what others add to it meanwhile is left out. Its mode goes with it."""
        with file.open("rb") as content:
            facts = os.fstat(content.fileno())
            self._put(name, content, facts.st_size, facts.st_mode & 0o777)

    def close(self, at: str, stores: Mapping[str, Standing], step: Step | None = None, servers: Servers | None = None) -> Manifest:
        """The manifest goes behind everything else: a backup that was cut short has none."""
        layout = STEP if step else WHOLE if servers is None else WITH_BESIDE if servers.beside else SERVERS
        manifest = Manifest(layout, __version__, at, dict(stores), dict(self.parts), step, servers)
        written = encode(manifest)
        self._put(MANIFEST, io.BytesIO(written), len(written), 0o600)
        return manifest

    def _put(self, name: str, content: IO[bytes], size: int, mode: int) -> None:
        member, hashed = tarfile.TarInfo(name), _Hashed(content)
        member.size, member.mode = size, mode
        self._tar.addfile(member, hashed)
        self.parts[name] = hashed.digest()


class _Hashed(io.RawIOBase):
    """Reads, and hashes what it has read."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content, self._hash = content, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._content.read(size)
        self._hash.update(data)
        return data

    def digest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def packing(file: Path) -> Iterator[Packing]:
    """A new file for its owner alone, durable when the block has ended."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
        with GzipFile("", "wb", PACKING, raw, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar:
            yield Packing(tar)
        raw.flush()
        os.fsync(raw.fileno())


def seal(file: Path, sealed: Path, recipients: Sequence[Recipient]) -> None:
    """Encrypts a file into another."""
    pyrage.encrypt_file(str(file), str(sealed), recipients)
    with sealed.open("rb") as written:
        os.fsync(written.fileno())


def is_sealed(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(MARK)) == MARK


def unseal(file: Path, opened: Path, identities: Sequence[Identity]) -> None:
    """Raises CannotRestore: the keys are others, or not a byte of it can be trusted."""
    opened.touch(mode=0o600)
    try:
        pyrage.decrypt_file(str(file), str(opened), identities)
    except (pyrage.DecryptError, OSError) as error:
        raise CannotRestore(f"{file} cannot be decrypted: {error}; it is damaged, or it was encrypted for another key") from error


def unpack(file: Path, folder: Path) -> Manifest:
    """Writes all parts into a folder, and compares them with the manifest. Raises CannotRestore."""
    found: dict[str, str] = {}
    try:
        with GzipFile(file) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
            for member in tar:
                found[member.name] = _unpack(tar, member, folder)
            shutil.copyfileobj(packed, _Nowhere())  # gzip's own checksum comes at its end
    except UNREADABLE as error:
        raise CannotRestore(f"{file} is cut short, damaged or no backup of Torg: {error}") from error
    manifest = _manifest(folder / MANIFEST)
    found.pop(MANIFEST)
    if wrong := sorted(name for name in found.keys() | manifest.parts.keys() if found.get(name) != manifest.parts.get(name)):
        raise CannotRestore(f"{file} is damaged: {', '.join(wrong[:5])} {'is' if len(wrong) == 1 else 'are'} not what the manifest says")
    return manifest


class _Nowhere(io.RawIOBase):
    def write(self, data: object) -> int:
        return len(memoryview(data))  # type: ignore[arg-type]


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    """A part's SHA-256. A name may not lead out of the folder, and nothing but files is written."""
    name, content = PurePosixPath(member.name), tar.extractfile(member) if member.isfile() else None
    if content is None or name.is_absolute() or ".." in name.parts:
        raise CannotRestore(f"{member.name} is nothing that a backup of Torg has in it")
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    hashed = _Hashed(content)
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o777), "wb") as written:
        while chunk := hashed.read(CHUNK):
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    return hashed.digest()


def _manifest(file: Path) -> Manifest:
    """Taken out of the folder. Raises CannotRestore where it is missing, of a newer version, or none."""
    try:
        written = file.read_bytes()
        file.unlink()
        _refuse_newer(msgspec.json.decode(written, type=_Made))
        return msgspec.json.decode(written, type=Manifest)
    except FileNotFoundError as error:
        raise CannotRestore("this is no backup of Torg, or not all of one: it has no manifest") from error
    except msgspec.MsgspecError as error:
        raise CannotRestore(f"the backup's manifest cannot be read: {error}") from error


class _Made(msgspec.Struct, frozen=True):
    """What every version can read of a manifest."""

    format: int
    torg: str


def _refuse_newer(made: _Made) -> None:
    if made.format > FORMAT or _numbers(made.torg) > _numbers(__version__):
        raise CannotRestore(f"this backup was made by Torg {made.torg}, which is newer than this one ({__version__}): restore it with that version")


def _numbers(version: str) -> list[int]:
    return [int(word) for word in version.split(".") if word.isdecimal()]
