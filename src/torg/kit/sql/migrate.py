"""Migrations: plain SQL files, in the order of their names, each once. One set serves both engines; `$identity` stands for a self-numbering key, and where
an engine needs a text of its own it has `0001_name.postgresql.sql` beside `0001_name.sql`.

An older version goes on beside data that a newer one has added to (torg.kit.sql.compatibility)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from string import Template

from torg.kit.calls import undisturbed
from torg.kit.sql.port import Database, SqlTransaction
from torg.kit.sql.scripts import files_of, oldest_of, statements
from torg.kit.values import Clock, stamp

KIT = Path(__file__).parent / "migrations"

_LOG = "0001_kit.sql"  # where there is a log, as in every context's store
_LEDGER = (
    "create table if not exists migration (name text primary key, checksum text not null, applied_at text not null)",
    "create table if not exists migration_contract (name text primary key, oldest text not null)",
)


class MigrationRefused(Exception):
    """The store and this version of Torg do not fit; the sentence says which way and what to do."""


async def migrate(database: Database, folders: Iterable[Path], clock: Clock, only: Collection[str] | None = None) -> list[str]:
    """Applies what is missing, all in one transaction, so that two processes that start at once do it once. Returns the new names. `only` these: data that an
    older version wrote is to be filled in before the others come."""
    folders = list(folders)
    return await undisturbed(lambda: _migrate(database, folders, clock, only), "migrate")


async def _migrate(database: Database, folders: Iterable[Path], clock: Clock, only: Collection[str] | None) -> list[str]:
    dialect = database.dialect
    scripts = {f"{folder.parent.name}/{name}": file.read_text() for folder in folders for name, file in files_of(folder, dialect).items()}
    scripts = {name: script for name, script in scripts.items() if only is None or name in only}
    async with database.begin() as tx:
        for statement in dialect.lock:
            await tx.execute(statement)
        for table in _LEDGER:
            await tx.execute(table)
        applied = {row["name"]: row["checksum"] for row in await tx.all("select name, checksum from migration")}
        await _refuse_strangers(tx, scripts, applied)
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
            if oldest := oldest_of(scripts[name]):
                await tx.execute("insert into migration_contract (name, oldest) values (:name, :oldest)", name=name, oldest=oldest)
        if any(Path(name).name == _LOG for name in scripts):
            for statement in dialect.opening:
                await tx.execute(statement)
    return new


async def _refuse_strangers(tx: SqlTransaction, scripts: Mapping[str, str], applied: Mapping[str, str]) -> None:
    """What a newer version has added is none of this one's business, as long as it did not take away what this one needs."""
    contracts = {row["name"]: row["oldest"] for row in await tx.all("select name, oldest from migration_contract")}
    if beyond := sorted(name for name in set(applied) - set(scripts) if name in contracts and contracts[name] not in scripts):
        raise MigrationRefused(
            f"this data was changed by a newer version of Torg, after which this one can't use it any more ({', '.join(beyond)}): "
            "start the newer version, or name another folder with --data"
        )
    if changed := [name for name, checksum in applied.items() if name in scripts and checksum != _checksum(scripts[name])]:
        raise MigrationRefused(f"{', '.join(changed)} was changed after it had been applied here: put it back and write a new migration instead")


def _checksum(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
