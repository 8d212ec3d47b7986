"""`torg gateway`: the front door as this shop's settings declare it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Final

import msgspec
from cyclopts import App
from rich.console import Console
from rich.table import Table

from torg import compose
from torg.kit import settings as settings_

app = App(name="gateway", help="Look at the front door that TORG_GATEWAY declares.")
ENGINES: Final = {"db": "", "databases": {}, "replicas": {}, "db_replica": "", "bus": "", "redis": "", "documents": "", "index": "", "facts": ""}


@app.command
def routes() -> None:
    """Print which path goes to which context, how urgent it is, how often it may be asked, for how long its answers are kept and waited for; or all that is
    wrong with the declaration."""
    try:
        tables = asyncio.run(_tables(settings_.load(os.environ)))
    except settings_.BadSettings as bad:
        sys.stderr.write(f"torg: {bad}\n")
        sys.exit(2)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(*tables)


async def _tables(settings: settings_.Settings) -> Sequence[Table]:
    """From a shop that is put together and not opened: nothing of the real one is touched. Raises BadSettings."""
    with tempfile.TemporaryDirectory() as folder:
        running = await compose.compose(msgspec.structs.replace(settings, **ENGINES, data=folder, sync="OFF", password_memory_kib=8))
        try:
            assert running.entrance is not None, "a whole shop has a front door"
            return running.entrance.told(running.http.routes)
        finally:
            await running.close()
