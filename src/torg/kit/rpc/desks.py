"""A context's desk for operators, when the context runs in another process; and that process's end of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from torg.kit.auditing import Inspected
from torg.kit.bus.failures import FailedMessage
from torg.kit.calls import Handle
from torg.kit.chain import within
from torg.kit.errors import NotFound
from torg.kit.messages import Message, Registry
from torg.kit.operations import Desk, LogPage, LogRow, OverdueSaga, Progress
from torg.kit.rpc import messages as m
from torg.kit.rpc.logs import Ask, OpenLog, RemoteLog, Waiting

LOOKS = 30.0  # seconds that a context may take to look at its invariants


class RemoteDesk:
    """Implements DeskView over HTTP."""

    def __init__(self, context: str, ask: Ask, log: RemoteLog) -> None:
        self.context, self._ask, self._log = context, ask, log

    @property
    def log(self) -> RemoteLog:
        return self._log

    async def failed_messages(self, dead: bool | None = None) -> Sequence[FailedMessage]:
        found: Sequence[FailedMessage] = await self._ask(self.context, m.ListFailed(self.context, dead))
        return found

    async def redrive(self, consumer: str, id: str) -> None:
        await self._ask(self.context, m.Redrive(self.context, consumer, id))

    async def redrive_all(self, consumer: str, name: str) -> int:
        found: int = await self._ask(self.context, m.RedriveAll(self.context, consumer, name))
        return found

    async def progress(self) -> Sequence[Progress]:
        found: Sequence[Progress] = await self._ask(self.context, m.GetProgress(self.context))
        return found

    async def settled(self) -> bool:
        settled: bool = await self._ask(self.context, m.IsSettled(self.context))
        return settled

    async def inspect(self) -> Sequence[Inspected]:
        with within(LOOKS):
            found: Sequence[Inspected] = await self._ask(self.context, m.Inspect(self.context))
        return found

    async def browse(self, stream: str, name: str, before: int, limit: int) -> LogPage:
        page: LogPage = await self._ask(self.context, m.Browse(context=self.context, stream=stream, name=name, before=before, limit=limit))
        return page

    async def rows(self, stream: str, after: int, limit: int) -> Sequence[LogRow]:
        found: Sequence[LogRow] = await self._ask(self.context, m.ReadRows(context=self.context, stream=stream, after=after, limit=limit))
        return found

    async def torn_streams(self, after: int, until: int) -> Sequence[str]:
        found: Sequence[str] = await self._ask(self.context, m.FindTorn(context=self.context, after=after, until=until))
        return found

    async def missing_versions(self, stream: str) -> int:
        missing: int = await self._ask(self.context, m.CountMissing(self.context, stream))
        return missing

    async def overdue_sagas(self, before: datetime) -> Sequence[OverdueSaga]:
        found: Sequence[OverdueSaga] = await self._ask(self.context, m.FindOverdue(self.context, before))
        return found


def open_desks(desks: Mapping[str, Desk], registry: Registry, waiting: Waiting) -> dict[type[Message], Handle]:
    """What a process lets the rest of its fleet do at its contexts' desks and with their logs."""

    def at_desk(act: Callable[[Desk, Any], Awaitable[Any]]) -> Handle:
        async def handle(message: Any) -> Any:
            if message.context not in desks:
                raise NotFound("context.not_found", f"{message.context} does not run in this process")
            return await act(desks[message.context], message)

        return handle

    def log_of(desk: Desk) -> OpenLog:
        return OpenLog(desk.store.log, registry, waiting)

    return {
        m.TailLog: at_desk(lambda desk, query: log_of(desk).tail(query)),
        m.ReadNamed: at_desk(lambda desk, query: log_of(desk).named(query)),
        m.FindHead: at_desk(lambda desk, query: log_of(desk).head(query)),
        m.StepLog: at_desk(lambda desk, query: log_of(desk).step(query)),
        m.ListFailed: at_desk(lambda desk, query: desk.failed_messages(query.dead)),
        m.Redrive: at_desk(lambda desk, command: desk.redrive(command.consumer, command.id)),
        m.RedriveAll: at_desk(lambda desk, command: desk.redrive_all(command.consumer, command.name)),
        m.GetProgress: at_desk(lambda desk, _: desk.progress()),
        m.IsSettled: at_desk(lambda desk, _: desk.settled()),
        m.Inspect: at_desk(lambda desk, _: desk.inspect()),
        m.Browse: at_desk(lambda desk, query: desk.browse(query.stream, query.name, query.before, query.limit)),
        m.ReadRows: at_desk(lambda desk, query: desk.rows(query.stream, query.after, query.limit)),
        m.FindTorn: at_desk(lambda desk, query: desk.torn_streams(query.after, query.until)),
        m.CountMissing: at_desk(lambda desk, query: desk.missing_versions(query.stream)),
        m.FindOverdue: at_desk(lambda desk, query: desk.overdue_sagas(query.before)),
    }
