"""Runs a game day for the command line."""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path

from tests.chaos.game_day import game_day
from tests.chaos.report import page


def play(minutes: float, topology: str, servers: bool, seed: int, report: Path) -> int:
    """The status that the command ends with."""
    day = asyncio.run(game_day(minutes, topology, servers, seed, lambda line: print(line, flush=True)))
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(page(day, _machine()))
    print("\n".join(day.lines()), flush=True)
    print(f"the report is in {report}", flush=True)
    return 1 if day.wrong or not day.acknowledged else 0


def _machine() -> str:
    return f"{platform.system()} {platform.release()}, {os.cpu_count()} cores, Python {platform.python_version()}"
