"""Starts and ends several engines at once and tells how it goes: a line each that changes in a terminal, a line for each step in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from functools import partial
from threading import Thread

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from torg.engines import run
from torg.engines.port import Engine, EngineRefused, Place, Tell

Chosen = Mapping[str, tuple[Engine, Place]]
SIGN_OF_LIFE = 15.0
"""Seconds between two lines about the same step in a log."""


class Board:
    """What each engine is at."""

    def __init__(self, console: Console) -> None:
        self._console, self._since = console, time.monotonic()
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.fields[engine]:<12}"), TextColumn("{task.description}"), TimeElapsedColumn(), console=console,
            disable=not console.is_terminal,
        )  # fmt: skip
        self._steps: dict[str, str] = {}

    def teller(self, name: str) -> Tell:
        """Takes the lines about one engine; may be called from any thread."""
        row = self._progress.add_task("", engine=name, total=1)

        def tell(line: str) -> None:
            self._steps[name] = line
            self._progress.update(row, description=line.splitlines()[0], completed=line.startswith(("ready", "ended")))
            self._say(name, line)

        return tell

    def watch(self, works: Mapping[str, Future[None]]) -> None:
        """Until all are done."""
        with self._progress:
            waiting = set(works.values())
            while waiting:
                _, waiting = wait(waiting, timeout=SIGN_OF_LIFE)
                for name, work in works.items():
                    if work in waiting:
                        self._say(name, f"still {self._steps.get(name, 'waiting')}")
        for work in works.values():
            work.result()

    def _say(self, name: str, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"  {time.monotonic() - self._since:5.1f} s  {name:<12} {line}", highlight=False, soft_wrap=True, markup=False)


def start_together(chosen: Chosen, console: Console) -> dict[str, str]:
    """Has them all run and ready; what refused, with its sentence."""
    return _together(chosen, console, run.start)


def stop_together(chosen: Chosen, console: Console) -> bool:
    """Ends them; tells whether there was any."""
    _together(chosen, console, run.stop)
    return bool(chosen)


def _together(chosen: Chosen, console: Console, work: Callable[[Engine, Place, Tell], object]) -> dict[str, str]:
    board, faults = Board(console), {}

    def one(name: str, tell: Tell) -> None:
        try:
            work(*chosen[name], tell)
        except EngineRefused as refusal:
            faults[name] = str(refusal)
            tell("refused")

    tellers = {name: board.teller(name) for name in chosen}
    with run.readable_files():
        board.watch({name: _beside(partial(one, name, tell)) for name, tell in tellers.items()})
    return faults


def _beside(work: Callable[[], None]) -> Future[None]:
    """Works in a thread that an interrupted process doesn't wait for."""
    future: Future[None] = Future()

    def call() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 raised again by whoever asks for the result
            future.set_exception(error)
        else:
            future.set_result(None)

    Thread(target=call, daemon=True).start()
    return future
