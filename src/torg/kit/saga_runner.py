"""Runs a context's sagas: keeps their rows, hands answers to the engine, sends what it asks for, and watches deadlines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

from torg.kit import saga as engine
from torg.kit import telemetry
from torg.kit.calls import Handle
from torg.kit.errors import DomainError, NotFound, Unavailable
from torg.kit.messages import Command, Event, Message, encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.saga import Instance, Move, Saga
from torg.kit.sql.port import Reads
from torg.kit.store import Store, Transaction
from torg.kit.values import NewId, stamp

S = TypeVar("S")
LOOK_FOR_FUTURE = timedelta(minutes=1)  # between looks for what was written in the future
ACTIVE = "('running', 'compensating', 'stuck')"


class SagaRunner:
    """The sagas of one context. `handlers` are the context's own, for the commands that stay at home."""

    def __init__(self, store: Store, sagas: Sequence[Saga[Any]], new_id: NewId) -> None:
        self._store, self._new_id = store, new_id
        self._sagas = {saga.name: saga for saga in sagas}
        self._moved_by = {kind: saga for saga in reversed(sagas) for kind in saga.events()}
        self._local: Mapping[type[Message], Handle] = {}
        self._seen = datetime.min.replace(tzinfo=UTC)

    def bind(self, handlers: Mapping[type[Message], Handle]) -> None:
        """Tells who handles the commands to the own context; composition does this once."""
        self._local = handlers

    def answers(self) -> dict[type[Message], Handle]:
        """The consumer's table: every event that can move a saga."""
        return dict.fromkeys(self._moved_by, self._answer)

    async def start(self, tx: Transaction, saga: Saga[S], subject: str, state: S, done: Sequence[str] = ()) -> str:
        """Starts a saga in the caller's commit; steps named in `done` are what that commit does. Raises DomainError while another works on the subject."""
        if await self.active(tx, subject):
            raise DomainError("saga.busy", f"something else is still being done about {subject}; try again in a moment")
        move = engine.begin(saga, self._new_id(), subject, state, self._store.clock(), done)
        await self._settle(tx, saga, move)
        return move[0].id

    async def work_on_deadlines(self) -> None:
        """Asks again, or gives up, where answers are overdue."""
        await self._set_right(self._store.clock())
        now = stamp(self._store.clock())
        for row in await self._store.database.all("select id from saga where deadline <= :now limit 200", now=now):
            try:
                await self._store.undisturbed(partial(self._remind, row["id"], now), "saga.deadline")
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 one saga that cannot go on is told of, and holds up no other
                telemetry.log.error("a saga cannot go on", saga=row["id"], exc_info=error)

    async def _remind(self, id: str, now: str) -> None:
        async with self._store.transaction() as tx:
            found = await self._load(tx, "id = :id and deadline <= :now", id=id, now=now)
            if found:
                telemetry.SAGA_STEPS.labels(found.type, found.current, "overdue").inc()
                await self._settle(tx, self._sagas[found.type], engine.overdue(self._sagas[found.type], found, self._store.clock()))

    async def _set_right(self, now: datetime) -> None:
        """Clocks may have been ahead and set back: what was written in their future waits no longer than it was meant to."""
        if self._seen <= now < self._seen + LOOK_FOR_FUTURE:
            return
        self._seen = now
        statement = "select id from saga where deadline is not null and updated_at > :now limit 1000"
        for row in await self._store.database.all(statement, now=stamp(now)):
            await self._store.undisturbed(partial(self._bring_back, row["id"], now), "saga.deadline")

    async def _bring_back(self, id: str, now: datetime) -> None:
        async with self._store.transaction() as tx:
            found = await self._load(tx, "id = :id and deadline is not null and updated_at > :now", id=id, now=stamp(now))
            if found and found.deadline:
                telemetry.log.warning("a clock was set back: a saga's deadline with it", saga=id, by=str(found.updated_at - now))
                await self._save(tx, msgspec.structs.replace(found, deadline=now + (found.deadline - found.updated_at), updated_at=now))

    async def retry(self, tx: Transaction, id: str) -> Instance:
        """An operator's wish: ask the current step again, now."""
        found = await self._unfinished(tx, id)
        saga = self._sagas[found.type]
        again = engine.overdue(
            saga, msgspec.structs.replace(found, steps=tuple(_fresh(s) if s.name == found.current else s for s in found.steps)), self._store.clock()
        )
        await self._settle(tx, saga, again)
        return again[0]

    async def compensate(self, tx: Transaction, id: str, reason: str) -> Instance:
        """An operator's wish: give up and undo everything, the step under way included. Raises DomainError where something cannot be undone."""
        found = await self._unfinished(tx, id)
        if found.status != "running":
            raise DomainError("saga.compensating", "it is being undone already")
        saga = self._sagas[found.type]
        if engine.irrevocable(saga, found):
            raise DomainError("saga.irrevocable", "what it has done cannot be undone: have its step asked again instead")
        move = engine.failed(saga, found, reason, self._store.clock(), uncertain=True)
        await self._settle(tx, saga, move)
        return move[0]

    async def find(self, id: str) -> Instance:
        """Raises NotFound."""
        found = await self._load(self._store.database, "id = :id", id=id)
        if found is None:
            raise NotFound("saga.not_found", f"no saga {id!r} here")
        return found

    async def of(self, subject: str) -> list[Instance]:
        """A subject's sagas, oldest first."""
        rows = await self._store.database.all("select instance from saga where subject = :subject order by created_at, id", subject=subject)
        return [self._read(row["instance"]) for row in rows]

    async def page(self, status: str, cursor: str, limit: int) -> Page[Instance]:
        """Newest first; an empty status means any."""
        at, id = after_time(cursor)
        rows = await self._store.database.all(
            """select id, created_at, instance from saga where (status = :status or :status = '') and (:at = '' or (created_at, id) < (:at, :id))
               order by created_at desc, id desc limit :limit""",
            status=status, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: self._read(row["instance"]), "created_at", "id")

    async def active(self, tx: Transaction, subject: str) -> Instance | None:
        """The saga that works on a subject now; there is one at most."""
        return await self._load(tx, f"subject = :subject and status in {ACTIVE}", subject=subject)

    async def redact(self, tx: Transaction, subject: str, rewrite: Callable[[Instance], Instance], change: Callable[[Message], Message]) -> None:
        """Rewrites a subject's sagas and what they have asked for, for the erasure of personal data. All of them must have ended."""
        for row in await tx.all("select instance from saga where subject = :subject", subject=subject):
            ended = self._read(row["instance"])
            await self._save(tx, rewrite(ended))
            await tx.redact(ended.id, change)

    def define(self, name: str) -> Saga[Any]:
        """A saga's table, by its name."""
        return self._sagas[name]

    async def _answer(self, event: Event) -> None:
        async with self._store.transaction() as tx:
            subject = self._moved_by[type(event)].subject(event)
            found = await self.active(tx, subject)
            move = engine.answered(self._sagas[found.type], found, event, self._store.clock()) if found else None
            if found and move:
                telemetry.SAGA_STEPS.labels(found.type, found.current, type(event).NAME).inc()
                with telemetry.span("saga", f"{found.type}.{found.current}", subject=subject):
                    await self._settle(tx, self._sagas[found.type], move)
            else:
                await self._late(tx, event)

    async def _late(self, tx: Transaction, event: Event) -> None:
        for saga in self._sagas.values():
            command = saga.late[type(event)](event) if type(event) in saga.late else None
            if command is not None:
                await self._local[type(command)](command)
                return

    async def _settle(self, tx: Transaction, saga: Saga[Any], move: Move) -> None:
        """Sends what the engine asks for; steps of the own context are done at once, so that they bring the next move with them."""
        instance, asked = move
        waiting = list(asked)
        while waiting:
            command = waiting.pop(0)
            await self._send(tx, command, instance.id)
            step = next((s for s in saga.steps if s.name == instance.current), None)
            if not engine.is_local(self._store.context, command) or step is None or instance.deadline is None:
                continue
            if type(command) is step.action and instance.status == "running":
                instance, more = engine.completed(saga, instance, self._store.clock())
                waiting += more
            elif type(command) is step.undo and instance.status == "compensating":
                instance, more = engine.undone(saga, instance, self._store.clock())
                waiting += more
        await self._save(tx, instance)

    async def _send(self, tx: Transaction, command: Command[Any], stream: str) -> None:
        if engine.is_local(self._store.context, command):
            await self._local[type(command)](command)
        else:
            await tx.append(stream, [command])

    async def _save(self, tx: Transaction, instance: Instance) -> None:
        await tx.execute(
            """insert into saga (id, type, subject, status, instance, deadline, created_at, updated_at)
               values (:id, :type, :subject, :status, :instance, :deadline, :created_at, :updated_at)
               on conflict (id) do update set status = excluded.status, instance = excluded.instance,
                   deadline = excluded.deadline, updated_at = excluded.updated_at""",
            id=instance.id, type=instance.type, subject=instance.subject, status=instance.status, instance=encode(instance).decode(),
            deadline=instance.deadline and stamp(instance.deadline), created_at=stamp(instance.created_at), updated_at=stamp(instance.updated_at),
        )  # fmt: skip

    async def _unfinished(self, tx: Transaction, id: str) -> Instance:
        found = await self._load(tx, f"id = :id and status in {ACTIVE}", id=id)
        if found is None:
            raise NotFound("saga.not_found", f"no unfinished saga {id!r} here")
        return found

    async def _load(self, reads: Reads | Transaction, condition: str, **parameters: Any) -> Instance | None:
        row = await reads.one(f"select instance from saga where {condition}", **parameters)
        return self._read(row["instance"]) if row else None

    def _read(self, text: str) -> Instance:
        """With the steps that the table has now: one that was added while the saga was under way is still to be done."""
        raw = msgspec.json.decode(text, type=Instance)
        saga, known = self._sagas[raw.type], {step.name: step for step in raw.steps}
        steps = tuple(known.get(step.name) or engine.StepState(step.name) for step in saga.steps)
        return msgspec.structs.replace(raw, state=msgspec.convert(raw.state, saga.state), steps=steps)


def _fresh(step: engine.StepState) -> engine.StepState:
    return msgspec.structs.replace(step, attempts=0)
