"""ClickHouse's tables, brought up to date by the files of migrations/clickhouse: in the order of their names, each once, and each so that twice does no harm,
since ClickHouse knows no transaction around them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from torg.contexts.analytics.adapters.clickhouse import ClickHouse
from torg.kit.sql.migrate import MigrationRefused
from torg.kit.sql.scripts import statements
from torg.kit.values import Clock, stamp

FOLDER: Final = Path(__file__).parents[1] / "migrations" / "clickhouse"
_LEDGER: Final = "create table if not exists migration (name String, checksum String, applied_at String) engine = ReplacingMergeTree order by name"


async def bring_up_to_date(server: ClickHouse, clock: Clock, folder: Path = FOLDER) -> list[str]:
    """Makes the database and applies what is missing; the new names. Raises MigrationRefused where the data are a newer version's or a file was changed."""
    await server.make_database()
    await server.execute(_LEDGER)
    scripts = _scripts(folder)
    applied = {row["name"]: row["checksum"] for row in await server.all("select name, checksum from migration final")}
    if unknown := sorted(set(applied) - set(scripts)):
        raise MigrationRefused(f"these facts were written by a newer version of Torg (ClickHouse has {', '.join(unknown)}): start that version")
    if changed := [name for name, checksum in applied.items() if checksum != _checksum(scripts[name])]:
        raise MigrationRefused(f"{', '.join(changed)} was changed after ClickHouse had it: put it back and write a new migration instead")
    new = [name for name in scripts if name not in applied]
    for name in new:
        for statement in statements(scripts[name]):
            await server.execute(statement)
        await server.insert("migration", msgspec.json.encode([name, _checksum(scripts[name]), stamp(clock())]))
    return new


def _scripts(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in sorted(folder.glob("*.sql"))}


def _checksum(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
