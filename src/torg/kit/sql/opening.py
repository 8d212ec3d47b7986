"""Opens a context's records by the URL that the settings name."""

from __future__ import annotations

from pathlib import Path

from torg.kit.settings import BadSettings, Settings, process_of
from torg.kit.sql.committer import Committer
from torg.kit.sql.port import Database
from torg.kit.sql.sqlite import SqliteDatabase

SCHEMES = ("postgresql", "postgres")


def shards_of(settings: Settings, context: str) -> int:
    """How many databases TORG_<CONTEXT>_DB names."""
    return len(settings.databases.get(context, "").split()) or 1


async def open_database(settings: Settings, context: str, folder: Path, committer: Committer, shard: int = 0) -> Database:
    """PostgreSQL where TORG_<CONTEXT>_DB (the one of this `shard`, where it names several) or TORG_DB names one, else a SQLite file in the context's folder.
    Raises BadSettings or Unavailable."""
    own = (settings.databases.get(context, "").split() or [""])[shard]
    url, name = own or settings.db, f"TORG_{context.upper()}_DB" if own else "TORG_DB"
    replicas = settings.replicas.get(context, "" if own else settings.db_replica).split()  # one of everybody's is none of a context's own database
    replica = replicas[shard] if shard < len(replicas) else ""
    beside = f"TORG_{context.upper()}_DB_REPLICA" if context in settings.replicas else "TORG_DB_REPLICA"
    if not url and replica:
        raise BadSettings(f"{beside} names a replica, but {name} names no database that it could be one of")
    if not url:
        return SqliteDatabase(folder / f"{context}.db", settings.sync, committer)
    for one, setting in ((url, name), (replica or url, beside)):
        if (scheme := one.partition(":")[0]) not in SCHEMES:
            raise BadSettings(f"{setting} begins with {scheme}:, known are postgresql:// and nothing at all (SQLite in the data folder)")
    from torg.kit.sql import postgres  # the driver is loaded where it is used

    role = "" if own else f"torg_{context}"  # a database of its own brings its own user
    await postgres.prepare(url, context, role)
    return await postgres.connect(postgres.Address(url, context, role), replica, process_of(settings))
