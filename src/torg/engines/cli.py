"""`torg engines`: the servers of a fleet on this machine."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from torg.engines import docker, run, telling
from torg.engines.catalogue import ENGINES, ON_REQUEST, named
from torg.engines.port import Engine, EngineRefused, Place
from torg.kit import settings as settings_

app = App(name="engines", help="Start, end and look at the server engines: by Docker where it answers, else from the language's and the system's packages.")
Chosen = Mapping[str, tuple[Engine, Place]]
Native = Annotated[bool, Parameter(negative="")]


@app.command
def up(*names: str, data: Path | None = None, native: Native = False) -> None:
    """Start engines, wait until they answer, and print the environment that has Torg use them (on standard output, for `eval`).

    Parameters
    ----------
    names
        Which: postgres, kafka and so on, each with :PORT if not at its own. Those that a fleet stands on when none is named (not consul, not toxiproxy).
    data
        The folder that keeps everything (TORG_DATA, var/ in the checkout).
    native
        Without Docker, even where it answers.
    """
    folder, console = _folder(data), Console(file=sys.stderr)
    chosen = _chosen(names or [engine.name for engine in ENGINES], folder)
    faults = telling.start_together(_native(chosen, native, console), console)
    try:
        if contained := {name: one for name, one in chosen.items() if name not in faults and not run.running(one[1])}:
            docker.start(contained, lambda line: console.print(f"  {line}", highlight=False, soft_wrap=True))
    except EngineRefused as refusal:
        faults["docker"] = str(refusal)
    _show_environment(folder, console)
    _end(faults)


@app.command
def down(*names: str, data: Path | None = None) -> None:
    """End engines that `up` started, and nothing else. What they keep stays.

    Parameters
    ----------
    names
        Which; all of them when none is named.
    data
        The folder that keeps everything (TORG_DATA, var/ in the checkout).
    """
    folder, console = _folder(data), Console(file=sys.stderr)
    chosen = _chosen(names, folder)
    ended = telling.stop_together({name: one for name, one in chosen.items() if run.running(one[1])}, console)
    faults = {}
    try:
        if contained := _contained(chosen):
            docker.stop(contained, lambda line: console.print(f"  {line}", highlight=False))
        elif not ended:
            console.print("  none of them runs", highlight=False)
    except EngineRefused as refusal:
        faults["docker"] = str(refusal)
    _write_environment(folder, _running(folder))
    _end(faults)


@app.command
def status(*, data: Path | None = None) -> None:
    """Show which engines run and whether they answer. Ends with status 1 when one runs but doesn't.

    Parameters
    ----------
    data
        The folder that keeps everything (TORG_DATA, var/ in the checkout).
    """
    folder = _folder(data)
    table, faults = Table("engine", "state", "address", "version", "log", box=None), {}
    contained = _contained(_chosen((), folder))
    for name, (engine, place) in _chosen((), folder).items():
        runs = bool(run.running(place)) or name in contained
        fault = engine.fault(place) if runs else ""
        if fault:
            faults[name] = f"{name} runs but doesn't answer: {fault}"
        version, log = (
            (engine.image, f"docker logs {docker.project({name: (engine, place)})}-{name}-1")
            if name in contained
            else (engine.version.partition(" (")[0], str(run.log_of(place)))
        )
        table.add_row(
            name, "silent" if fault else "ready" if runs else "-", f"127.0.0.1:{place.port}" if runs else "", version if runs else "", log if runs else ""
        )
    Console(width=None if sys.stdout.isatty() else 250).print(table)
    _end(faults)


@app.command
def env(*, data: Path | None = None) -> None:
    """Print the environment that has Torg use what runs: eval "$(./torg engines env)".

    Parameters
    ----------
    data
        The folder that keeps everything (TORG_DATA, var/ in the checkout).
    """
    for line in _exports(_running(_folder(data))):
        print(line)


# ---------------------------------------------------------------- which


def _folder(data: Path | None) -> Path:
    if data:
        return data.absolute()
    try:
        return Path(settings_.load(os.environ).data).absolute()
    except settings_.BadSettings as error:
        print(f"torg: {error}", file=sys.stderr)
        sys.exit(2)


def _chosen(names: Sequence[str], folder: Path) -> dict[str, tuple[Engine, Place]]:
    """Each by its name, all when none is named; a wrong name or port ends the process."""
    chosen = {}
    for name, _, port in (one.partition(":") for one in names or [engine.name for engine in (*ENGINES, *ON_REQUEST)]):
        try:
            engine = named(name)
        except EngineRefused as refusal:
            print(f"torg: {refusal}", file=sys.stderr)
            sys.exit(2)
        if port and not (port.isdecimal() and 0 < int(port) < 65536):
            print(f"torg: {name}:{port}: a port is a number from 1 to 65535.", file=sys.stderr)
            sys.exit(2)
        chosen[name] = (engine, run.place_of(engine, folder, int(port or 0)))
    return chosen


def _native(chosen: Chosen, forced: bool, console: Console) -> Chosen:
    """Those that never run in a container or run here and now already; all when Docker isn't to be used or isn't there."""
    uncontained = {name: one for name, one in chosen.items() if not one[0].image or run.running(one[1])}
    if forced or uncontained == chosen:
        return chosen
    if docker.answers():
        return uncontained
    console.print("  no Docker engine answers here: the engines are started without it", highlight=False)
    return chosen


def _contained(chosen: Chosen) -> Chosen:
    """Those that have a container, in whatever state."""
    names = docker.states(chosen) if docker.answers() else {}
    return {name: one for name, one in chosen.items() if name in names and not run.running(one[1])}


def _running(folder: Path) -> Chosen:
    everything = _chosen((), folder)
    contained = _contained(everything)
    return {name: one for name, one in everything.items() if run.running(one[1]) or name in contained}


# ---------------------------------------------------------------- what is told


def _show_environment(folder: Path, console: Console) -> None:
    runs = _running(folder)
    file = _write_environment(folder, runs)
    for engine, place in runs.values():
        for value in engine.settings(place).values():
            console.print(f"  {engine.name:<12} {value}", highlight=False, soft_wrap=True)
    if runs:
        console.print(f"  to use them: set -a; . {shlex.quote(str(file))}; set +a", highlight=False, soft_wrap=True)
    for line in _exports(runs):
        print(line, flush=True)


def _write_environment(folder: Path, runs: Chosen) -> Path:
    """<data>/engines/env, for its owner alone: it holds passwords."""
    run.make(folder / "engines")
    file = folder / "engines" / "env"
    fresh = file.with_name("env.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text("".join(f"{line.removeprefix('export ')}\n" for line in _exports(runs)))
    fresh.replace(file)
    return file


def _exports(runs: Chosen) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for engine, place in runs.values() for name, value in engine.settings(place).items()]


def _end(faults: Mapping[str, str]) -> None:
    for fault in faults.values():
        print(f"torg: {fault}", file=sys.stderr)
    if faults:
        sys.exit(1)
