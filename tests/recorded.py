"""Rows that releases wrote into their logs, one of each shape: what later versions must still understand.

`python -m tests.recorded RELEASE FOLDER…` (with src on PYTHONPATH) takes them from data folders of shops that ran that release on SQLite."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from torg import topology

FOLDER = Path(__file__).parent / "snapshots" / "recorded"


class Row(msgspec.Struct, frozen=True):
    """`data` is the message as the release wrote it."""

    context: str
    name: str
    schema: int
    data: msgspec.Raw


def releases() -> list[Path]:
    return sorted(FOLDER.glob("*.ndjson"))


def rows(release: Path) -> list[Row]:
    return [msgspec.json.decode(line, type=Row) for line in release.read_bytes().splitlines()]


def lost(written: Any, read: Any, where: str = "") -> Iterator[str]:
    """Fields that were written and are not there after reading."""
    if isinstance(written, dict):
        for key, value in written.items():
            if not isinstance(read, dict) or key not in read:
                yield f"{where}.{key}"
            else:
                yield from lost(value, read[key], f"{where}.{key}")
    elif isinstance(written, list):
        if not isinstance(read, list) or len(written) != len(read):
            yield where
        else:
            for number, (before, after) in enumerate(zip(written, read, strict=True)):
                yield from lost(before, after, f"{where}[{number}]")
    elif written != read:
        yield f"{where}: {written!r} became {read!r}"


def _shape(data: Any) -> Any:
    if isinstance(data, dict):
        return tuple((key, _shape(value)) for key, value in sorted(data.items()))
    if isinstance(data, list):
        return ("list", *sorted({repr(_shape(item)) for item in data}))
    return type(data).__name__


def _record(release: str, folders: list[Path]) -> None:
    kept: dict[tuple[str, str], Row] = {}
    for file in sorted(file for folder in folders for context in topology.CONTEXTS for file in folder.glob(f"{context}/{context}.db")):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            if not database.execute("select 1 from sqlite_master where name = 'log'").fetchone():
                continue
            for name, schema, data in database.execute("select name, schema_version, data from log"):
                kept.setdefault((name, repr(_shape(msgspec.json.decode(data)))), Row(file.stem, name, schema, msgspec.Raw(data.encode())))
    lines = [msgspec.json.encode(row) for _, row in sorted(kept.items())]
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{release}.ndjson").write_bytes(b"\n".join(lines) + b"\n")


if __name__ == "__main__":
    _record(sys.argv[1], [Path(folder) for folder in sys.argv[2:]])
