"""`torg` with a counter of SQL statements in its metrics: too dear to be there always, so that a run of its own counts them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from prometheus_client import Counter

from torg import cli
from torg.kit.sql import sqlite

STATEMENTS = Counter("bench_sql_statements_total", "Statements that SQLite was given", ("context", "kind"))


def _counting() -> None:
    plain = sqlite._open

    def opened(path: Path, sync: str) -> sqlite3.Connection:
        connection = plain(path, sync)
        connection.set_trace_callback(lambda statement: STATEMENTS.labels(path.stem, statement.split(None, 1)[0].lower()).inc())
        return connection

    sqlite._open = opened


if __name__ == "__main__":
    _counting()
    cli.main()
