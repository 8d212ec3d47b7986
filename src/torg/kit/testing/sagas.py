"""Saga scripts: given these replies, expect these commands. No store, no loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torg.kit import saga as engine
from torg.kit.messages import Command, Event, context_of
from torg.kit.saga import Instance, Saga
from torg.kit.testing import TestClock


class Script:
    """Plays a saga by hand. Commands to its own context are done at once, as its runner does."""

    def __init__(self, saga: Saga[Any], state: Any, context: str, done: Sequence[str] = ()) -> None:
        self.saga, self.context, self.clock = saga, context, TestClock()
        self.sent: list[Command[Any]] = []
        self.at_home: list[Command[Any]] = []
        self.instance: Instance
        self._settle(*engine.begin(saga, "saga-1", "subject", state, self.clock(), done))

    def given(self, event: Event) -> Script:
        """An answer arrives; one nobody waits for changes nothing."""
        move = engine.answered(self.saga, self.instance, event, self.clock())
        if move:
            self._settle(*move)
        return self

    def overdue(self) -> Script:
        """The deadline passes."""
        assert self.instance.deadline is not None, "an ended saga has no deadline"
        self.clock.now = self.instance.deadline
        self._settle(*engine.overdue(self.saga, self.instance, self.clock()))
        return self

    def expect(self, *sent: type[Command[Any]]) -> Script:
        """Exactly these commands went to other contexts since the last look."""
        assert [type(command) for command in self.sent] == list(sent)
        self.sent = []
        return self

    def expect_at_home(self, *done: type[Command[Any]]) -> Script:
        """Exactly these commands were done in the own context since the last look."""
        assert [type(command) for command in self.at_home] == list(done)
        self.at_home = []
        return self

    def ends(self, status: str) -> Script:
        assert (self.instance.status, self.instance.deadline) == (status, None)
        return self

    def _settle(self, instance: Instance, asked: list[Command[Any]]) -> None:
        self.instance, waiting = instance, list(asked)
        while waiting:
            command = waiting.pop(0)
            if context_of(type(command)) != self.context:
                self.sent.append(command)
                continue
            self.at_home.append(command)
            step = next(step for step in self.saga.steps if step.name == self.instance.current)
            if self.instance.deadline is None:
                continue
            if type(command) is step.action and self.instance.status == "running":
                self.instance, more = engine.completed(self.saga, self.instance, self.clock())
                waiting += more
            elif type(command) is step.undo and self.instance.status == "compensating":
                self.instance, more = engine.undone(self.saga, self.instance, self.clock())
                waiting += more
