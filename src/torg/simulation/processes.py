"""Simulated processes: groups of tasks that stop all at once, and may be killed."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Literal

from torg.kit import failpoints


class Died(BaseException):
    """The process was killed in this very moment: whatever was running goes no further."""


State = Literal["running", "paused", "dead"]


@dataclass(eq=False)
class Process:
    """What runs in a `context` made by `inside` belongs to it: as long as it is paused nothing of that goes on, and once it is dead nothing ever will.
    `on_death` is what happens in that moment elsewhere, to connections and locks. `ahead` is by how many seconds its wall clock is wrong; the next `poison`
    messages that come to its consumers make their handlers fail. `files` are the databases that it has open, `traps` what
    kills it at failpoints."""

    name: str
    address: str
    state: State = "running"
    ahead: float = 0.0
    poison: int = 0
    held: list[asyncio.Handle] = field(default_factory=list)
    lost: list[object] = field(default_factory=list)
    on_death: list[Callable[[], None]] = field(default_factory=list)
    files: list[sqlite3.Connection] = field(default_factory=list)
    traps: dict[str, Callable[[], object]] = field(default_factory=dict)

    def inside(self) -> Context:
        """A context whose tasks, and theirs, belong to this process, which is told of failpoints."""
        context = copy_context()
        context.run(running_in.set, self)
        context.run(failpoints.attend, self._reached)
        return context

    def _reached(self, name: str) -> None:
        if name in self.traps:
            self.traps.pop(name)()
            raise Died(name)

    def pause(self) -> None:
        """As SIGSTOP does."""
        if self.state == "running":
            self.state = "paused"

    def resume(self, again: Callable[[list[asyncio.Handle]], None]) -> None:
        """As SIGCONT does: what came meanwhile goes on, in the order in which it came; `again` has the loop do so."""
        if self.state == "paused":
            self.state = "running"
            held, self.held = self.held, []
            again(held)

    def kill(self) -> None:
        """As SIGKILL does. What it was about to do is kept until the end of the run, so that nothing of it runs even as it is thrown away; what it had not
        committed never was."""
        if self.state != "dead":
            self.state = "dead"
            self.lost += self.held
            self.held = []
            for call in self.on_death:
                call()
            for file in self.files:
                file.close()


running_in: ContextVar[Process | None] = ContextVar("running_in", default=None)
"""The process to which the running task belongs; None: the world outside."""


@contextmanager
def noted_files() -> Iterator[None]:
    """Whatever opens a database meanwhile has it noted with its process."""
    opened = sqlite3.connect

    def connect(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = opened(*args, **options)
        if process := running_in.get():
            process.files.append(connection)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    try:
        yield
    finally:
        sqlite3.connect = opened
