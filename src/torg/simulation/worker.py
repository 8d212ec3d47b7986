"""A process that carries plans out, one after the other: python -m torg.simulation.worker TEMPLATE [BUG]. Plans come as JSON lines, outcomes go as such.

It has the time, the threads and the chance of a whole process made up, so that nothing else can run in it."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from torg.kit import telemetry
from torg.simulation.plan import Plan
from torg.simulation.run import Outcome, run
from torg.simulation.template import prepare

HASHES = "PYTHONHASHSEED"
ROOT = Path(__file__).parents[3]


class Asked(msgspec.Struct, frozen=True):
    """A plan, and whether every line of its story is wanted."""

    plan: Plan
    story: bool = False


def known_bugs() -> Mapping[str, Any]:
    """The catalogue, which is no part of the package."""
    sys.path.insert(0, str(ROOT))
    return importlib.import_module("tests.simulation.bugs").BUGS  # type: ignore[no-any-return]


def main(template: str, bug: str = "") -> None:
    """Answers until its standard input ends."""
    if os.environ.get(HASHES) != "0":
        raise SystemExit(f"{HASHES} must be 0: the order in which sets are gone through is part of a run")
    telemetry.configure_logs("critical", as_json=False)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # of what dead processes have left lying about
    sys.unraisablehook = lambda _: None
    folder, decode = Path(template), msgspec.json.Decoder(Asked).decode
    if not folder.exists():
        folder.mkdir()
        prepare(folder)
    if bug:
        known_bugs()[bug].put_in()
    gc.collect()
    gc.freeze()  # what is there stays: after a run only the run's own is looked through
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever else speaks, speaks elsewhere
    out.write(b"{}\n")
    for line in sys.stdin.buffer:
        asked = decode(line)
        outcome: Outcome = run(asked.plan, folder, asked.story)
        out.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
