"""What the figures were measured on, and what its disk can do: python -m bench.machine FOLDER prints the disk's rates as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvloop

from bench.processes import ROOT
from torg.kit.sql.sqlite import SqliteDatabase

LIBRARIES = ("httptools", "msgspec", "uvloop", "tantivy", "prometheus-client", "opentelemetry-sdk")
INSERT = "insert into row (id, text) values (:id, :text)"


def disclosure(pinned: bool, data: float) -> dict[str, str]:
    """What one needs to know to read the figures, or to measure them again. `data` is the shop's size in megabytes."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "cores used": "one for the server, another one for the load" if pinned else "not pinned: server and load share what there is",
        "busy beforehand": f"load average {os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "data": f"{data:.0f} MB after seeding",
    }


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "unknown (no git checkout)"
    head = subprocess.run([git, "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    changed = subprocess.run([git, "status", "--porcelain", "--untracked-files=no"], cwd=ROOT, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return f"{head}{' with changes' if changed.strip() else ''}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def syncs(folder: Path, seconds: float) -> float:
    """How many small appends a second the disk makes durable, one after the other."""
    file, count, began = os.open(folder / "syncs", os.O_CREAT | os.O_WRONLY | os.O_APPEND), 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        os.write(file, b"x" * 200)
        os.fsync(file)
        count += 1
    os.close(file)
    return count / (time.perf_counter() - began)


async def transactions(folder: Path, waiting: int, seconds: float) -> float:
    """Durable transactions of one insert a second, with so many waiting at a time: what the shop's own adapter makes of that disk."""
    database = SqliteDatabase(folder / f"bound{waiting}.db")
    async with database.begin() as tx:
        await tx.execute("create table row (id integer primary key, text text)")
    done, until = 0, time.perf_counter() + seconds

    async def insert() -> None:
        nonlocal done
        while time.perf_counter() < until:
            async with database.begin() as tx:
                await tx.execute(INSERT, id=None, text="x" * 200)
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(insert() for _ in range(waiting)))
    rate = done / (time.perf_counter() - began)
    await database.close()
    return rate


def main() -> None:
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    found = {"syncs": syncs(folder, seconds), "alone": uvloop.run(transactions(folder, 1, seconds)), "grouped": uvloop.run(transactions(folder, 64, seconds))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
