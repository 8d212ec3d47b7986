"""Migrations: plain SQL files, in the order of their names, each once. One set serves both engines; `$identity` stands for a self-numbering key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from string import Template

from torg.kit.sql.port import Database
from torg.kit.values import Clock, stamp

KIT = Path(__file__).parent / "migrations"
SQLITE = {"identity": "integer"}

_LEDGER = "create table if not exists migration (name text primary key, checksum text not null, applied_at text not null)"


class MigrationRefused(Exception):
    """The store and this version of Torg do not fit; the sentence says which way and what to do."""


async def migrate(database: Database, folders: Iterable[Path], clock: Clock, dialect: dict[str, str] = SQLITE) -> list[str]:
    """Applies what is missing, all in one transaction, so that two processes that start at once do it once. Returns the new names."""
    scripts = {f"{folder.parent.name}/{file.name}": file.read_text() for folder in folders for file in sorted(folder.glob("*.sql"))}
    async with database.begin() as tx:
        await tx.execute(_LEDGER)
        applied = {row["name"]: row["checksum"] for row in await tx.all("select name, checksum from migration")}
        _refuse_strangers(scripts, applied)
        new = [name for name in scripts if name not in applied]
        for name in new:
            for statement in _statements(Template(scripts[name]).substitute(dialect)):
                await tx.execute(statement)
            await tx.execute(
                "insert into migration (name, checksum, applied_at) values (:name, :checksum, :at)",
                name=name,
                checksum=_checksum(scripts[name]),
                at=stamp(clock()),
            )
    return new


def _refuse_strangers(scripts: dict[str, str], applied: dict[str, str]) -> None:
    if unknown := sorted(set(applied) - set(scripts)):
        raise MigrationRefused(
            f"this data was written by a newer version of Torg (it has {', '.join(unknown)}): start that version, or name another folder with --data"
        )
    if changed := [name for name, checksum in applied.items() if checksum != _checksum(scripts[name])]:
        raise MigrationRefused(f"{', '.join(changed)} was changed after it had been applied here: put it back and write a new migration instead")


def _checksum(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def _statements(script: str) -> list[str]:
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [statement for part in "\n".join(lines).split(";\n") if (statement := part.strip().rstrip(";"))]
