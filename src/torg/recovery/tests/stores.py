"""Stores with a log and consumers' positions, as every context has them, and a process that writes to them."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from torg import topology

LOG = "create table if not exists log (position integer primary key)"
POSITIONS = "create table if not exists consumer_position (consumer text, source text, position integer, primary key (consumer, source))"
FOLLOW = """insert into consumer_position (consumer, source, position) values ('follower', :source, :position)
    on conflict (consumer, source) do update set position = excluded.position"""


def make_store(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    store = sqlite3.connect(file, isolation_level=None, timeout=10)
    for statement in ("pragma journal_mode=wal", "pragma synchronous=off", LOG, POSITIONS):
        store.execute(statement)
    return store


def make_folder(data: Path) -> Path:
    """A data folder with all stores that a shop has, and its small files."""
    for context in (*topology.CONTEXTS, topology.SANDBOX):
        make_store(data / context / f"{context}.db").close()
    (data / "secret").write_text("a secret\n")
    (data / "secret").chmod(0o600)
    return data


def log_head(file: Path) -> int:
    with closing(sqlite3.connect(file)) as store:
        head: int = store.execute("select coalesce(max(position), 0) from log").fetchone()[0]
        return head


def write_and_follow(files: Mapping[str, Path], pause: float) -> None:
    """Each store in turn logs a row, and all others then say that they have handled it: as quick consumers do, without end."""
    import time

    stores = {name: make_store(file) for name, file in files.items()}
    position = 0
    while True:
        position += 1
        for name, store in stores.items():
            store.execute("insert into log (position) values (?)", (position,))
            for other, follower in stores.items():
                if other != name:
                    follower.execute(FOLLOW, {"source": name, "position": position})
        if position == 1:
            print("writing", flush=True)
        time.sleep(pause)


if __name__ == "__main__":
    write_and_follow({Path(name).stem: Path(name) for name in sys.argv[2:]}, float(sys.argv[1]))
