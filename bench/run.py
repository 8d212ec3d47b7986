"""`torg bench`: seeds a shop of its own, measures it on a core of its own, and tells what came of it and on what."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from bench import buying, machine, overload, pages, searches, starting, topologies, tracing
from bench.figures import Book
from bench.house import House, Measurement
from bench.processes import DidNotStart
from bench.wire import pin

MEASUREMENTS: dict[str, Measurement] = {
    "starts": starting.measure,
    "pages": pages.measure,
    "search": searches.measure,
    "carts": buying.measure_carts,
    "orders": buying.measure_orders,
    "telemetry": tracing.measure,
    "overload": overload.measure,
    "topologies": topologies.measure,
}
WITH_ENGINES = frozenset({"topologies"})
"""Measured only when they are named: they install and start servers."""
WIDTH = 132  # columns, where nobody says how many there are
SMALL = "300"  # products of a quick run


def run(only: Sequence[str], repeats: int, quick: bool, out: Path) -> int:
    """Measures what `only` names (nothing: everything); the process's exit status."""
    console = Console(file=sys.stderr)
    if unknown := [name for name in only if name not in MEASUREMENTS]:
        console.print(f"there is no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
        return 2
    if not Path("/proc/self/stat").exists():
        console.print("the measurements read /proc: run them on Linux")
        return 2
    folder, book = Path(tempfile.mkdtemp(prefix="torg-bench-")), Book()
    folder.chmod(0o755)  # servers may run as another user
    try:
        _measure([name for name in MEASUREMENTS if (name in only if only else name not in WITH_ENGINES)], folder, book, repeats, quick, console)
    except DidNotStart as error:
        console.print(str(error))
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shown = Console()
    shown.width = max(shown.width, WIDTH)
    book.show(shown)
    book.save(out)
    console.print(f"kept in {out}")
    return 0


def _measure(names: Sequence[str], folder: Path, book: Book, repeats: int, quick: bool, console: Console) -> None:
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1 and pin(cores[1])
    server_core, load_core = (cores[0], cores[1]) if pinned else (None, None)
    seeded, data = folder / "seeded", 0.0
    if set(names) - WITH_ENGINES:
        console.print("seeding a shop …")
        data = starting.seed(seeded, server_core, book, SMALL if quick else "0")
    book.disclosure.update(machine.disclosure(pinned, data))
    if quick:
        book.remark("a quick run shows that the measurements work; its figures mean nothing")
    house = House(folder, seeded, book, repeats, quick, server_core, load_core)
    for name in names:
        console.print(f"measuring {name} …")
        if name in WITH_ENGINES:  # many processes, which inherit where this one runs
            os.sched_setaffinity(0, cores)
        uvloop.run(MEASUREMENTS[name](house))
    os.sched_setaffinity(0, cores)
