"""Shops whose records are on PostgreSQL. Each context's tables are copied out of one snapshot, and into tables that its own migrations make: no program of
PostgreSQL's is needed, and the file is like any other backup. Products' documents and facts, which lie in other engines, are copied with them.

One database is of one instant by itself. Where contexts have several, snapshots are taken as of files: at once, and looked at twice
(docs/decisions/0019-backups-by-double-collect.md)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final

import asyncpg
from pyrage.x25519 import Recipient

from torg import topology
from torg.compose import CONTEXTS, KEPT_BESIDE, copier
from torg.kit.beside import ENDING, Beside, BesideRefused
from torg.kit.errors import Unavailable
from torg.kit.settings import Settings
from torg.kit.shards import named
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.opening import shards_of
from torg.kit.sql.postgres import Address, connect, prepare
from torg.kit.sql.postgres.faults import AWAY
from torg.kit.values import Clock, moment, stamp
from torg.recovery.archive import Kept, Manifest, Packing, Servers, packing, seal
from torg.recovery.backup import BEFORE, CHANGED, LETTERS, PACKED, Made, add_copy, file_of, until_complete, work_folder
from torg.recovery.cut import BREATH, PATIENCE, Standing, misfits
from torg.recovery.errors import CannotBackUp, CannotRestore

COPY: Final = ".copy"
TRIES: Final = 20  # cuts, where something is edited while what lies beside them is copied
SENT_AGAIN: Final = timedelta(days=5)
"""How far relays go back where the broker is a new one. Ids of what was handled are kept for a week: what comes again takes effect once."""
LEDGERS: Final = ("migration", "migration_contract")
_TABLES: Final = """select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = to_regnamespace($1) and c.relkind in ('r', 'p') and not c.relispartition and a.attnum > 0 and not a.attisdropped
        and a.attgenerated = '' and not c.relname = any($2) group by c.relname order by c.relname"""
_REFERENCES: Final = """select k.conrelid::regclass::text as owner, k.confrelid::regclass::text as needed from pg_constraint k
    where k.contype = 'f' and k.connamespace = to_regnamespace($1)"""
_NUMBERED: Final = """select table_name, column_name from information_schema.columns where table_schema = $1 and is_identity = 'YES'"""
FAULTS: Final = (*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass(frozen=True)
class Home:
    """Where a context, or a shard of one, keeps its records."""

    part: str
    context: str
    url: str
    role: str

    @property
    def address(self) -> Address:
        return Address(self.url, self.context, self.role)


def homes(settings: Settings) -> list[Home]:
    """Of all contexts, as the settings name them; of none where there is a context that keeps its records in files."""
    found = []
    for context in topology.CONTEXTS:
        own = settings.databases.get(context, "").split()
        for shard in range(shards_of(settings, context)):
            found.append(Home(named(context, shard), context, own[shard] if own else settings.db, "" if own else f"torg_{context}"))
    return found if all(home.url for home in found) else []


# ---------------------------------------------------------------- out


def back_up(settings: Settings, to: Path, recipients: Sequence[Recipient], clock: Clock) -> Made:
    """Writes a backup of what is on PostgreSQL, and of the data folder's own files. Raises CannotBackUp, OSError or sqlite3.Error."""
    if to.exists():
        raise CannotBackUp(f"{to} is there already: name a new file")
    data = Path(settings.data)
    for folder in (data, to.parent):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with work_folder(data) as work, until_complete(to) as unfinished:
            packed = work / PACKED if recipients else unfinished
            with packing(packed) as archive:
                manifest, cut = asyncio.run(_pack(archive, settings, work, clock))
            if recipients:
                seal(packed, unfinished, recipients)
            return Made(manifest, unfinished.stat().st_size, cut.tries, cut.seconds)
    except BesideRefused as refused:
        raise CannotBackUp(str(refused)) from refused
    except FAULTS as error:
        raise CannotBackUp(f"PostgreSQL: {error or type(error).__name__}") from error


async def _pack(archive: Packing, settings: Settings, work: Path, clock: Clock) -> tuple[Manifest, Cut]:
    data, found = Path(settings.data), homes(settings)
    for name in BEFORE:
        if (data / name).exists():
            archive.add(name, data / name)
    async with _fitting(found, settings, work, clock) as (cut, copied):
        for engine, counts in copied.items():
            for name in counts:
                archive.add(f"{engine}/{name}{ENDING}", work / f"{name}{ENDING}")
        standings = {home.part: await _standing(cut.snapshots[home.url], home) for home in found}
        if ahead := misfits(standings):
            raise CannotBackUp(f"what these databases hold does not fit together: {'; '.join(ahead)}")
        kept = {home.part: await _copy_out(cut.snapshots[home.url], home, archive, work / CHANGED) for home in found}
    for name in (file_of(topology.SANDBOX), LETTERS):
        if (data / name).exists():
            with closing(sqlite3.connect(data / name, timeout=10)) as store:
                add_copy(archive, name, store, work, Packing.add)
    return archive.close(stamp(cut.at), standings, servers=Servers(bool(settings.bus), kept, copied)), cut


@asynccontextmanager
async def _fitting(found: Sequence[Home], settings: Settings, work: Path, clock: Clock) -> AsyncIterator[tuple[Cut, dict[str, dict[str, int]]]]:
    """A cut, and what was copied beside it that fits it. Raises CannotBackUp where that changes all the time."""
    for _ in range(TRIES):
        async with _cut({home.url for home in found}, clock) as cut:
            copied = {one.name: await _copied(one, home, cut.snapshots[home.url], settings, work) for one, home in _beside(found)}
            if None not in copied.values():
                yield cut, {engine: counts for engine, counts in copied.items() if counts}
                return
    raise CannotBackUp(f"{TRIES} times something was edited while what lies beside PostgreSQL was copied: try again when less is going on")


def _beside(found: Iterable[Home]) -> list[tuple[Beside, Home]]:
    return [(copier(home.context), home) for home in found if home.context in KEPT_BESIDE]


async def _copied(one: Beside, home: Home, snapshot: Any, settings: Settings, work: Path) -> dict[str, int] | None:
    await snapshot.execute(f'set local search_path to "{home.context}"')
    return await one.copy(getattr(settings, one.name), snapshot, work)


@dataclass(frozen=True)
class Cut:
    """A connection for each database, in a transaction that sees the instant; and what that took."""

    snapshots: Mapping[str, Any]
    at: datetime
    tries: int
    seconds: float


@asynccontextmanager
async def _cut(urls: set[str], clock: Clock) -> AsyncIterator[Cut]:
    """Nobody who writes waits for it. Raises CannotBackUp."""
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        snapshots = {url: await stack.enter_async_context(_connected(Address(url, "public"))) for url in sorted(urls)}
        watches = [await stack.enter_async_context(_connected(Address(url, "public"))) for url in sorted(urls)] if len(urls) > 1 else []
        tries, deadline = 0, loop.time() + PATIENCE
        while True:
            tries, began = tries + 1, loop.time()
            before, at = await _changes(watches), clock()
            for connection in snapshots.values():
                await connection.execute("begin isolation level repeatable read read only")
                await connection.fetchval("select pg_current_snapshot()::text")  # a transaction takes its snapshot with its first question
            if await _changes(watches) == before:
                break
            for connection in snapshots.values():
                await connection.execute("rollback")
            if loop.time() > deadline:
                raise CannotBackUp(f"{tries} times the shop wrote something just while its databases were looked at: try again when less is going on")
            await asyncio.sleep(BREATH)
        yield Cut(snapshots, at, tries, loop.time() - began)


async def _changes(watches: Sequence[Any]) -> list[str]:
    """Which transactions have ended on each server: another text once one has."""
    return [await watch.fetchval("select pg_current_snapshot()::text") for watch in watches]


@asynccontextmanager
async def _connected(address: Address) -> AsyncIterator[Any]:
    """Without the limits of time that the shop's own connections have."""
    connection = await asyncpg.connect(address.plain, timeout=address.wait, command_timeout=None)
    try:
        await connection.execute("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0")
        yield connection
    finally:
        await connection.close()


async def _standing(connection: Any, home: Home) -> Standing:
    if not await connection.fetchval("select to_regclass($1) is not null", f'"{home.context}".log'):
        raise CannotBackUp(f"{home.address.shown} has no records of {home.context}: has the shop been started on it?")
    consumers: dict[str, dict[str, int]] = {}
    for row in await connection.fetch(f'select consumer, source, position from "{home.context}".consumer_position order by consumer, source'):
        consumers.setdefault(row["consumer"], {})[row["source"]] = row["position"]
    return Standing(await connection.fetchval(f'select coalesce(max(position), 0) from "{home.context}".log'), consumers)


async def _copy_out(connection: Any, home: Home, archive: Packing, to: Path) -> Kept:
    tables = {row["name"]: tuple(row["columns"]) for row in await connection.fetch(_TABLES, home.context, list(LEDGERS))}
    for table, columns in tables.items():
        await connection.copy_from_query(f'select {_listed(columns)} from "{home.context}"."{table}"', output=to, format="binary")
        archive.add(f"{home.part}/{table}{COPY}", to)
    migrations = await connection.fetch(f'select name from "{home.context}".migration order by name')
    return Kept(tuple(row["name"] for row in migrations), tables)


# ---------------------------------------------------------------- in


def fill(unpacked: Path, manifest: Manifest, settings: Settings, clock: Clock) -> list[str]:
    """Puts the records of an unpacked backup into the databases that the settings name, with everything or with nothing; which tables were left out, since
    no migration knows them. Raises CannotRestore."""
    assert manifest.servers is not None, "it is of a shop on servers"
    found = {home.part: home for home in homes(settings)}
    if not found:
        raise CannotRestore("this shop's records were on PostgreSQL: name where they are to go, TORG_DB=postgresql://user:password@host:port/base")
    if strange := sorted(found.keys() ^ manifest.servers.kept.keys()):
        raise CannotRestore(f"the backup and TORG_DB, TORG_<CONTEXT>_DB name other shards: {', '.join(strange)}")
    for engine in manifest.servers.beside:
        if not getattr(settings, engine):
            raise CannotRestore(f"this shop's {engine} are in the backup: name the empty engine where they are to go, TORG_{engine.upper()}")
    return asyncio.run(_fill_all(found, unpacked, manifest, manifest.servers, settings, clock))


async def _fill_all(found: Mapping[str, Home], unpacked: Path, manifest: Manifest, servers: Servers, settings: Settings, clock: Clock) -> list[str]:
    made: list[Home] = []
    begun: list[Beside] = []
    try:
        for home in found.values():
            await _refuse_filled(home)
        beside = [(one, home) for one, home in _beside(found.values()) if one.name in servers.beside]
        for one, _ in beside:
            await one.refuse_filled(getattr(settings, one.name))
        left_out = []
        for part, home in found.items():
            made.append(home)
            left_out += await _fill(home, servers.kept[part], unpacked / part, manifest, clock)
        for one, home in beside:
            begun.append(one)
            await _put(one, home, unpacked / one.name, servers.beside[one.name], settings)
        return left_out
    except (*FAULTS, Unavailable) as error:
        await _undo(made, begun, settings)
        raise CannotRestore(f"PostgreSQL: {error or type(error).__name__}") from error
    except BesideRefused as refused:
        await _undo(made, begun, settings)
        raise CannotRestore(str(refused)) from refused
    except BaseException:
        await _undo(made, begun, settings)
        raise


async def _put(one: Beside, home: Home, folder: Path, counts: Mapping[str, int], settings: Settings) -> None:
    async with _connected(home.address) as connection, connection.transaction():
        await connection.execute(f'set local search_path to "{home.context}"')
        await one.put(getattr(settings, one.name), connection, folder, counts)
    shutil.rmtree(folder)


async def _undo(made: Sequence[Home], begun: Sequence[Beside], settings: Settings) -> None:
    await _drop(made)
    for one in begun:
        await one.drop(getattr(settings, one.name))


async def _refuse_filled(home: Home) -> None:
    async with _connected(home.address) as connection:
        if await connection.fetchval("select 1 from pg_class where relnamespace = to_regnamespace($1)", home.context):
            raise CannotRestore(f"{home.address.shown} has records of {home.context} already: name an empty database, nothing is written over")


async def _fill(home: Home, kept: Kept, folder: Path, manifest: Manifest, clock: Clock) -> list[str]:
    own = CONTEXTS / home.context / "migrations"
    await prepare(home.url, home.context, home.role)
    database = await connect(home.address)
    try:
        await migrate(database, [KIT, own] if own.is_dir() else [KIT], clock, set(kept.migrations))
    finally:
        await database.close()
    async with _connected(home.address) as connection, connection.transaction():
        await connection.execute(f'set local search_path to "{home.context}"')
        if home.role:
            await connection.execute(f'set local role "{home.role}"')
        there = {row["name"] for row in await connection.fetch(_TABLES, home.context, list(LEDGERS))}
        await connection.execute(f"truncate {_listed(sorted(there))} cascade")
        for table in await _in_order(connection, home.context, kept.tables.keys() & there):
            await connection.copy_to_table(table, schema_name=home.context, columns=kept.tables[table], source=folder / (table + COPY), format="binary")
        await _go_on_numbering(connection, home.context)
        if manifest.servers and manifest.servers.broker:
            await _tell_again(connection, moment(manifest.at))
    for table in kept.tables:
        (folder / (table + COPY)).unlink()
    return [f"{home.part}.{table}" for table in kept.tables if table not in there]


async def _in_order(connection: Any, schema: str, tables: set[str]) -> list[str]:
    """Those first that others refer to."""
    needs: dict[str, set[str]] = {table: set() for table in sorted(tables)}
    for row in await connection.fetch(_REFERENCES, schema):
        if row["owner"] in needs and row["needed"] != row["owner"]:
            needs[row["owner"]].add(row["needed"])
    return list(TopologicalSorter(needs).static_order())


async def _go_on_numbering(connection: Any, schema: str) -> None:
    for row in await connection.fetch(_NUMBERED, schema):
        table, column = row["table_name"], row["column_name"]
        highest = f'(select coalesce(max("{column}"), 0) + 1 from "{table}")'
        await connection.execute(f"select setval(pg_get_serial_sequence('\"{table}\"', '{column}'), {highest}, false)")


async def _tell_again(connection: Any, at: datetime) -> None:
    """The new place has a broker of its own, in which nothing is: relays begin some days back, and consumers with its first record."""
    await connection.execute("delete from consumer_position where consumer <> 'relay'")
    await connection.execute(
        "update consumer_position set position = (select coalesce(max(position), 0) from log where at < $1) where consumer = 'relay'", stamp(at - SENT_AGAIN)
    )


async def _drop(made: Sequence[Home]) -> None:
    for home in made:
        async with _connected(home.address) as connection:
            await connection.execute(f'drop schema if exists "{home.context}" cascade')


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
