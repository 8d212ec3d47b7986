"""`torg bench`: seeds a shop of its own, measures it on a core of its own, and tells what came of it and on what."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import uvloop
from rich.console import Console

from bench import buying, calm, flash, gateway, logins, machine, overload, pages, searches, starting, topologies, tracing
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
    "flash": flash.measure,
    "logins": logins.measure,
    "calm": calm.measure,
    "gateway": gateway.measure,
    "topologies": topologies.measure,
}
IN_TOPOLOGIES = frozenset({"overload", "flash", "logins"})
"""Measured in the topology that is asked for."""
WITH_ENGINES = frozenset({"topologies"})
"""Measured only when they are named: they install and start servers."""
WITHOUT_SHOP = frozenset({"gateway"})
"""Measured without anything that is sold."""
WIDTH = 132  # columns, where nobody says how many there are
SMALL = "300"  # products of a quick run


def run(only: Sequence[str], repeats: int, quick: bool, out: Path, topology: str = "all") -> int:
    """Measures what `only` names (nothing: everything); the process's exit status."""
    console = Console(file=sys.stderr)
    if unknown := [name for name in only if name not in MEASUREMENTS]:
        console.print(f"there is no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
        return 2
    if topology != "all" and (not only or not IN_TOPOLOGIES.issuperset(only)):
        console.print(f"--topology is for {', '.join(sorted(IN_TOPOLOGIES))}: name one of them; topologies compares whole fleets")
        return 2
    if not Path("/proc/self/stat").exists():
        console.print("the measurements read /proc: run them on Linux")
        return 2
    folder, book = Path(tempfile.mkdtemp(prefix="torg-bench-")), Book()
    folder.chmod(0o755)  # servers may run as another user
    try:
        names = [name for name in MEASUREMENTS if (name in only if only else name not in WITH_ENGINES)]
        _measure(names, House(folder, folder / "seeded", book, repeats, quick, topology=topology), console)
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


def _measure(names: Sequence[str], house: House, console: Console) -> None:
    cores, book, data = sorted(os.sched_getaffinity(0)), house.book, 0.0
    pinned = len(cores) > 1 and pin(cores[1])
    if pinned:
        house = replace(house, server_core=cores[0], load_core=cores[1])
    if set(names) - WITH_ENGINES - WITHOUT_SHOP:
        console.print("seeding a shop …")
        data = starting.seed(house.seeded, house.server_core, book, SMALL if house.quick else "0")
    book.disclosure.update(machine.disclosure(pinned, data))
    if house.topology != "all":
        book.disclosure["topology"] = house.topology
    if house.quick:
        book.remark("a quick run shows that the measurements work; its figures mean nothing")
    for name in names:
        console.print(f"measuring {name} …")
        if name in WITH_ENGINES:  # many processes, which inherit where this one runs
            os.sched_setaffinity(0, cores)
        uvloop.run(MEASUREMENTS[name](house))
    os.sched_setaffinity(0, cores)
