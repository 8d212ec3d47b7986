"""Sagas: a table of named steps with their undo, and pure state. Works over the log and the bus, and goes on after any crash.

A command to another context is a row of the saga's own log; its reply is an event in that context's log. A command to the saga's own
context is handled at once, in the same commit. Rules (the engine) are pure functions; `SagaRunner` keeps the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

import msgspec

from torg.kit.messages import Command, Event, context_of

S = TypeVar("S")
StepStatus = Literal["pending", "running", "completed", "failed", "compensating", "compensated"]
SagaStatus = Literal["running", "completed", "compensating", "compensated", "stuck"]
UNDO_PATIENCE = timedelta(seconds=5)
UNDO_TRIES = 20  # then an operator must look


@dataclass(frozen=True)
class Step(Generic[S]):
    """One row of a saga's table.

    `patience`: how long to wait for the answer before asking again; after `tries` askings the step has failed, and since nobody knows
    what came of it, it is undone as well; so it is when one of `broken_by` happens meanwhile. `learn` notes in the state what the answer
    said; `then` is a command to the saga's own context, handled in the commit that completes the step."""

    name: str
    action: type[Command[Any]]
    make: Callable[[S], Command[Any]]
    done: type[Event] | None = None
    failed: tuple[type[Event], ...] = ()
    broken_by: tuple[type[Event], ...] = ()
    undo: type[Command[Any]] | None = None
    make_undo: Callable[[S, str], Command[Any]] | None = None
    undone: type[Event] | None = None
    learn: Callable[[S, Any], S] = lambda state, _: state
    then: Callable[[S], Command[Any] | None] = lambda _: None
    patience: Callable[[S], timedelta] = lambda _: timedelta(seconds=10)
    tries: Callable[[S], int] = lambda _: 5


@dataclass(frozen=True)
class Saga(Generic[S]):
    """A named table of steps. `subject` reads from an answer whom it is about (the order's id). `late` says what to do about an answer that
    comes when no saga waits for it; `gave_up` is told to the own context when everything has been undone. `concerns`: whether an answer about
    the subject is meant for this saga, where an earlier one about the same may still get some."""

    name: str
    state: type[S]
    subject: Callable[[Any], str]
    steps: tuple[Step[S], ...]
    gave_up: Callable[[S, str], Command[Any]] | None = None
    late: Mapping[type[Event], Callable[[Any], Command[Any] | None]] = field(default_factory=dict)
    concerns: Callable[[S, Any], bool] = lambda state, answer: True

    def events(self) -> set[type[Event]]:
        """Every event that can move it."""
        answers = {kind for step in self.steps for kind in (step.done, *step.failed, *step.broken_by, step.undone) if kind}
        return answers | set(self.late)


class StepState(msgspec.Struct, frozen=True, omit_defaults=True):
    name: str
    status: StepStatus = "pending"
    attempts: int = 0
    error: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Instance(msgspec.Struct, frozen=True):
    """A saga under way: where each step stands, by name. `deadline` is when to ask again or give up; None when it has ended."""

    id: str
    type: str
    subject: str
    status: SagaStatus
    state: Any
    steps: tuple[StepState, ...]
    current: str
    deadline: datetime | None
    created_at: datetime
    updated_at: datetime
    reason: str = ""

    def step(self, name: str) -> StepState:
        return next(step for step in self.steps if step.name == name)


Move = tuple[Instance, list[Command[Any]]]
"""The saga after something happened, and what it asks for now."""


def begin(saga: Saga[S], id: str, subject: str, state: S, now: datetime, done: Sequence[str] = ()) -> Move:
    """A new saga; steps named in `done` were completed by the commit that starts it."""
    steps = tuple(StepState(s.name, "completed", 1, "", now, now) if s.name in done else StepState(s.name) for s in saga.steps)
    fresh = Instance(id, saga.name, subject, "running", state, steps, saga.steps[0].name, None, now, now)
    return _go_on(saga, fresh, now)


def answered(saga: Saga[S], now_at: Instance, event: Event, now: datetime) -> Move | None:
    """What an answer brings about; None when this saga does not wait for it."""
    if not saga.concerns(now_at.state, event):
        return None
    step, kind = _definition(saga, now_at.current), type(event)
    status = now_at.step(step.name).status
    if now_at.status == "running" and status == "running":
        if kind is step.done:
            return completed(saga, _with(now_at, now, state=step.learn(now_at.state, event)), now)
        if kind in step.failed:
            return failed(saga, now_at, str(getattr(event, "reason", kind.NAME)), now)
        if kind in step.broken_by:
            return failed(saga, now_at, str(getattr(event, "reason", kind.NAME)), now, uncertain=True)
    if now_at.status in ("compensating", "stuck") and status == "compensating" and kind is step.undone:
        return undone(saga, now_at, now)
    return None


def irrevocable(saga: Saga[S], now_at: Instance) -> bool:
    """Whether something was done, or is being done, that nobody could undo; an answer that `late` deals with can come when it likes."""
    for step in saga.steps:
        status = now_at.step(step.name).status
        if not step.make_undo and (status == "completed" or (status == "running" and step.done not in saga.late)):
            return True
    return False


def completed(saga: Saga[S], now_at: Instance, now: datetime) -> Move:
    """The current step is done: its `then`, and the next step."""
    step = _definition(saga, now_at.current)
    moved, asked = _go_on(saga, _mark(now_at, step.name, now, status="completed", finished_at=now), now)
    then = step.then(now_at.state)
    return moved, ([then] if then else []) + asked


def failed(saga: Saga[S], now_at: Instance, reason: str, now: datetime, uncertain: bool = False) -> Move:
    """The current step failed: undo what was done before it, newest first. An `uncertain` step (no answer) is undone as well."""
    step = _definition(saga, now_at.current)
    # an uncertain step counts as completed for the way back
    status: StepStatus = "completed" if uncertain and step.undo else "failed"
    marked = _mark(now_at, step.name, now, status=status, error=reason, finished_at=now)
    return _go_back(saga, _with(marked, now, status="compensating", reason=reason), now)


def undone(saga: Saga[S], now_at: Instance, now: datetime) -> Move:
    """The current step's undo took effect."""
    final: StepStatus = "failed" if now_at.step(now_at.current).error else "compensated"
    return _go_back(saga, _mark(_with(now_at, now, status="compensating"), now_at.current, now, status=final, finished_at=now), now)


def overdue(saga: Saga[S], now_at: Instance, now: datetime) -> Move:
    """The deadline passed: ask again, or after the last try give the step up. Undos are asked again for ever, ever more slowly."""
    step, state = _definition(saga, now_at.current), now_at.step(now_at.current)
    if now_at.status == "running":
        if state.attempts >= step.tries(now_at.state):
            return failed(saga, now_at, f"{step.action.__name__} was not answered in time", now, uncertain=True)
        return _ask(saga, now_at, step, now)
    if state.attempts >= UNDO_TRIES and now_at.status != "stuck":
        return _ask_undo(saga, _with(now_at, now, status="stuck"), step, now)
    return _ask_undo(saga, now_at, step, now)


def _go_on(saga: Saga[S], now_at: Instance, now: datetime) -> Move:
    for step in saga.steps:
        if now_at.step(step.name).status == "pending":
            return _ask(saga, _with(now_at, now, current=step.name), step, now)
    return _with(now_at, now, status="completed", deadline=None), []


def _go_back(saga: Saga[S], now_at: Instance, now: datetime) -> Move:
    for step in reversed(saga.steps):
        if now_at.step(step.name).status == "completed" and step.make_undo:
            back = _mark(_with(now_at, now, current=step.name), step.name, now, attempts=0)
            return _ask_undo(saga, back, step, now)
    ended = _with(now_at, now, status="compensated", deadline=None)
    return ended, [saga.gave_up(now_at.state, now_at.reason)] if saga.gave_up else []


def _ask(saga: Saga[S], now_at: Instance, step: Step[S], now: datetime) -> Move:
    state = now_at.step(step.name)
    marked = _mark(now_at, step.name, now, status="running", attempts=state.attempts + 1, started_at=state.started_at or now)
    return _with(marked, now, deadline=now + step.patience(now_at.state)), [step.make(now_at.state)]


def _ask_undo(saga: Saga[S], now_at: Instance, step: Step[S], now: datetime) -> Move:
    assert step.make_undo is not None, f"{step.name} has nothing to undo"
    attempts = now_at.step(step.name).attempts + 1
    marked = _mark(now_at, step.name, now, status="compensating", attempts=attempts)
    return _with(marked, now, deadline=now + UNDO_PATIENCE * min(attempts, 12)), [step.make_undo(now_at.state, now_at.reason)]


def _mark(now_at: Instance, name: str, now: datetime, **changes: Any) -> Instance:
    steps = tuple(msgspec.structs.replace(step, **changes) if step.name == name else step for step in now_at.steps)
    return _with(now_at, now, steps=steps)


def _with(now_at: Instance, now: datetime, **changes: Any) -> Instance:
    return msgspec.structs.replace(now_at, updated_at=now, **changes)


def _definition(saga: Saga[S], name: str) -> Step[S]:
    return next(step for step in saga.steps if step.name == name)


def is_local(context: str, command: Command[Any]) -> bool:
    """Whether the saga's own context handles the command."""
    return context_of(type(command)) == context
