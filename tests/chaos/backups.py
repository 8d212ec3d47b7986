"""Backups that are made while all that happens, and what is in them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import asyncpg
from bench.processes import ROOT

from tests.chaos.buyers import Person, administrator
from tests.chaos.oracle import Oracle, all_of, as_promised
from tests.chaos.record import Promise, Record
from tests.chaos.servers import Servers
from tests.chaos.shop import Shop
from torg import topology
from torg.engines import run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.engines.postgres import ADMIN, PASSWORD, program
from torg.kit.ports import free_port

TAKES = 120.0  # seconds at most
TRIES = 4  # PostgreSQL may crash while it is copied


@dataclass(frozen=True)
class Backup:
    """`file` is that of `torg backup`, or a folder that is a cluster of PostgreSQL; `began` by the machine's monotonic clock."""

    file: Path
    began: float
    seconds: float
    fault: str = ""


async def back_up(shop: Shop, servers: Servers | None, number: int) -> Backup:
    """As the operators' page says: with the shop's own command, or with PostgreSQL's."""
    began = time.monotonic()
    if servers is None:
        file = shop.data.with_name(f"backup-{number}.torg")
        fault = await _run([sys.executable, "-m", "torg", "backup", str(file), "--data", str(shop.data), "--embedded"], {"PYTHONPATH": str(ROOT / "src")})
        return Backup(file, began, time.monotonic() - began, fault)
    place, fault = servers.places["postgres"], ""
    for attempt in range(TRIES):
        folder, began = place.data.with_name(f"backup-{number}-{attempt}"), time.monotonic()
        where = [
            "--host=127.0.0.1",
            f"--port={place.port}",
            f"--username={ADMIN}",
            "--checkpoint=fast",
            "--wal-method=stream",
            f"--pgdata={folder / 'cluster'}",
        ]
        folder.mkdir()
        fault = await _run([str(program(place.home, "pg_basebackup")), *where], {"PGPASSWORD": (place.data / PASSWORD).read_text().strip()})
        if not fault:
            (folder / PASSWORD).write_text((place.data / PASSWORD).read_text())
            return Backup(folder, began, time.monotonic() - began)
        await asyncio.sleep(5)
    return Backup(place.data, began, time.monotonic() - began, fault)


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What it said when it failed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    process = await asyncio.create_subprocess_exec(
        *command, env={**own, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=ROOT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TAKES)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{command[0]} was not done after {TAKES:.0f} s"
    return "" if process.returncode == 0 else said.decode(errors="replace")[-600:]


async def restored(backup: Backup, servers: Servers | None, people: Sequence[Person], record: Record, settings: Mapping[str, str]) -> list[str]:
    """What is wrong with a backup: it is restored elsewhere, opened, and must know each order that was acknowledged before it began."""
    if backup.fault:
        return [f"a backup could not be made: {backup.fault}"]
    before = [promise for promise in record.promises if promise.told < backup.began]
    if servers is not None:
        return await _of_postgres(backup, servers.places["postgres"], before)
    data = backup.file.with_suffix("")
    if fault := await _run([sys.executable, "-m", "torg", "restore", str(backup.file), str(data)], {"PYTHONPATH": str(ROOT / "src")}):
        return [f"a backup could not be restored: {fault}"]
    async with Shop(data, settings, ("--topology", "all")) as shop, aiohttp.ClientSession() as browser:
        again = Record(data / "told" / "promises.ndjson")
        try:
            return await _of_files(shop, browser, again, people, before)
        finally:
            again.close()


async def _of_files(shop: Shop, browser: aiohttp.ClientSession, record: Record, people: Sequence[Person], before: Sequence[Promise]) -> list[str]:
    admin = await administrator(shop.address, browser, record, Random(0))
    orders = dict[str, Any]()
    for person in people:
        known = Person(shop.address, browser, record, [], Random(0), Counter())
        known.email = person.email
        await known.sign_in()
        orders |= {order["id"]: order for order in await all_of(known, "/orders")}
    found = _lost(before, orders)
    oracle = Oracle([], admin, record, {}, shop.data)
    return found + [f"after the restore: {fault}" for fault in await oracle.holds()]


def _lost(before: Sequence[Promise], orders: Mapping[str, Any]) -> list[str]:
    lost = [promise.order_id for promise in before if promise.order_id not in orders]
    other = [promise.order_id for promise in before if promise.order_id in orders and not as_promised(orders[promise.order_id], promise)]
    return [f"LOST: the backup does not have order {id}, which was acknowledged before it began" for id in lost] + [
        f"the backup has order {id}, but not as it was promised" for id in other
    ]


async def _of_postgres(backup: Backup, original: Place, before: Sequence[Promise]) -> list[str]:
    """The whole server of that instant is started beside the one that runs."""
    engine, place = named("postgres"), Place(original.home, backup.file, free_port())
    await asyncio.to_thread(run.start, engine, place, _quietly)
    try:
        connection = await asyncpg.connect(engine.settings(place)["TORG_DB"])
        try:
            return await _in_order(connection, before)
        finally:
            await connection.close()
    finally:
        await asyncio.to_thread(run.stop, engine, place, _quietly)


async def _in_order(connection: Any, before: Sequence[Promise]) -> list[str]:
    there = {row["id"] for row in await connection.fetch('select id from "order".orders')}
    found = [f"LOST: the backup does not have order {promise.order_id}, acknowledged before it began" for promise in before if promise.order_id not in there]
    askew = await connection.fetch('select kind, reference from "payment".entry group by kind, reference having sum(amount) <> 0 limit 5')
    found += [f"the backup's ledger does not balance: {row['kind']} {row['reference']}" for row in askew]
    for context in (context for context in topology.CONTEXTS if context != "web"):
        torn = await connection.fetch(f'select stream from "{context}".log group by stream having count(*) <> max(version) limit 5')
        found += [f"the backup's log of {context} has a gap in {row['stream']}" for row in torn]
    return found


def _quietly(_: str) -> None: ...
