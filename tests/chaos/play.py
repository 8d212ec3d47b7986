"""Runs a game day for the command line."""

from __future__ import annotations

import asyncio
import os
import platform
import signal
from pathlib import Path

from tests.chaos.figures import Day
from tests.chaos.game_day import Calm, Wanted, game_day
from tests.chaos.nemesis import SORTS
from tests.chaos.report import page
from torg import topology

__all__ = ["Calm", "Wanted", "play", "refusal"]


def play(wanted: Wanted, report: Path) -> int:
    """The status that the command ends with."""
    where = machine()
    day = asyncio.run(_played(wanted))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(page(day, where))
    print("\n".join(day.lines()), flush=True)
    print(f"the report is in {report}", flush=True)
    return 1 if day.wrong or not day.acknowledged else 0


async def _played(wanted: Wanted) -> Day:
    """Told to end, it ends in order: whatever it has started goes with it."""
    playing = asyncio.ensure_future(game_day(wanted, lambda line: print(line, flush=True)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, playing.cancel)
    return await playing


def machine() -> str:
    """Where it was played, and how busy that was before."""
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f} before"


def refusal(wanted: Wanted) -> str:
    """What is wrong with what somebody wants, if anything: said before any engine is started."""
    if unknown := [sort for sort in wanted.only if sort not in SORTS]:
        return f"there is no sort of fault {', '.join(unknown)}; these are: {', '.join(SORTS)}"
    if not 0 < wanted.minutes < float("inf") or wanted.buyers < 1:
        return f"--minutes {wanted.minutes:g} --buyers {wanted.buyers}: a day has some of both"
    if wanted.folder and wanted.folder.exists() and not (wanted.folder.is_dir() and not any(wanted.folder.iterdir())):
        return f"--keep {wanted.folder}: it is no empty folder"
    try:
        topology.read(wanted.topology)
    except topology.BadTopology as error:
        return str(error)
    return ""
