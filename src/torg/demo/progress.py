"""Progress that reads well in a terminal (a bar) and in a log (a line when a part begins)."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Steps:
    """Parts of a longer work, one after the other, told on standard error."""

    def __init__(self, title: str) -> None:
        self._title, self._told = title, False
        self._console = Console(file=sys.stderr)
        self._bar = Progress(
            TextColumn("  {task.description:<16}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=self._console,
            disable=not self._console.is_terminal,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._finish()
        self._bar.stop()

    def begin(self, name: str) -> None:
        """The next part; of unknown size until `of` says it."""
        if not self._told:
            self._console.print(f"{self._title} (once; it goes on where it was cut short)", soft_wrap=True)
            self._told = True
        self._finish()
        if not self._console.is_terminal:
            self._console.print(f"  {name} …")
        self._task = self._bar.add_task(name, total=1)

    def of(self, total: int) -> None:
        if self._task is not None:
            self._bar.update(self._task, total=total)

    def advance(self, count: int) -> None:
        if self._task is not None:
            self._bar.advance(self._task, count)

    def _finish(self) -> None:
        if self._task is not None:
            total = next((task.total for task in self._bar.tasks if task.id == self._task), None)
            self._bar.update(self._task, completed=total or 1)
        self._task = None
