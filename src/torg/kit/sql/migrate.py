"""Migrations: plain SQL files, in the order of their names, each once. One set serves both engines; `$identity` stands for a self-numbering key, and where
an engine needs a text of its own it has `0001_name.postgresql.sql` beside `0001_name.sql`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from string import Template

from torg.kit.calls import undisturbed
from torg.kit.sql.dialect import Dialect
from torg.kit.sql.port import Database
from torg.kit.values import Clock, stamp

KIT = Path(__file__).parent / "migrations"

_LOG = "0001_kit.sql"  # where there is a log, as in every context's store
_LEDGER = "create table if not exists migration (name text primary key, checksum text not null, applied_at text not null)"


class MigrationRefused(Exception):
    """The store and this version of Torg do not fit; the sentence says which way and what to do."""


async def migrate(database: Database, folders: Iterable[Path], clock: Clock) -> list[str]:
    """Applies what is missing, all in one transaction, so that two processes that start at once do it once. Returns the new names."""
    folders = list(folders)
    return await undisturbed(lambda: _migrate(database, folders, clock), "migrate")


async def _migrate(database: Database, folders: Iterable[Path], clock: Clock) -> list[str]:
    dialect = database.dialect
    scripts = {f"{folder.parent.name}/{name}": file.read_text() for folder in folders for name, file in _files(folder, dialect).items()}
    async with database.begin() as tx:
        for statement in dialect.lock:
            await tx.execute(statement)
        await tx.execute(_LEDGER)
        applied = {row["name"]: row["checksum"] for row in await tx.all("select name, checksum from migration")}
        _refuse_strangers(scripts, applied)
        new = [name for name in scripts if name not in applied]
        for name in new:
            for statement in statements(Template(scripts[name]).substitute(dialect.macros)):
                await tx.execute(dialect.adapt(statement))
            await tx.execute(
                "insert into migration (name, checksum, applied_at) values (:name, :checksum, :at)",
                name=name,
                checksum=_checksum(scripts[name]),
                at=stamp(clock()),
            )
        if any(Path(name).name == _LOG for name in scripts):
            for statement in dialect.opening:
                await tx.execute(statement)
    return new


def _files(folder: Path, dialect: Dialect) -> dict[str, Path]:
    """Each migration's file for this engine, by the migration's name."""
    common = {file.name: file for file in sorted(folder.glob("*.sql")) if file.name.count(".") == 1}
    own = {name: folder / f"{name.removesuffix('.sql')}.{dialect.variant}.sql" for name in common}
    return {name: own[name] if own[name].exists() else file for name, file in common.items()}


def _refuse_strangers(scripts: dict[str, str], applied: dict[str, str]) -> None:
    if unknown := sorted(set(applied) - set(scripts)):
        raise MigrationRefused(
            f"this data was written by a newer version of Torg (it has {', '.join(unknown)}): start that version, or name another folder with --data"
        )
    if changed := [name for name, checksum in applied.items() if checksum != _checksum(scripts[name])]:
        raise MigrationRefused(f"{', '.join(changed)} was changed after it had been applied here: put it back and write a new migration instead")


def _checksum(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()


def statements(script: str) -> list[str]:
    """The statements of a script: each ends with a semicolon at the end of a line; lines that begin with -- are not theirs."""
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [statement for part in "\n".join(lines).split(";\n") if (statement := part.strip().rstrip(";"))]
