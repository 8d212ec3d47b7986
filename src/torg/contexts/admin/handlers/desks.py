"""What the contexts' desks show: dead letters, consumers, logs."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec

from torg.contexts.admin import contracts as c
from torg.contexts.admin.handlers.places import part_of
from torg.contexts.admin.ports import AdminDeps
from torg.kit.bus import FailedMessage
from torg.kit.errors import FieldError, Invalid, NotFound
from torg.kit.operations import DeskView, LogRow
from torg.kit.pages import after_number
from torg.kit.values import stamp


async def list_dead_letters(query: c.ListDeadLetters, deps: AdminDeps) -> c.DeadLetterPage:
    found = [_dead_letter(desk.context, letter) for desk in deps.desks.values() for letter in await desk.failed_messages(dead=True)]
    found.sort(key=_place, reverse=True)
    behind = [letter for letter in found if not query.cursor or _place(letter) < query.cursor]
    shown = behind[: query.limit]
    return c.DeadLetterPage(tuple(shown), _place(shown[-1]) if len(behind) > query.limit else None)


async def get_dead_letter(query: c.GetDeadLetter, deps: AdminDeps) -> c.DeadLetter:
    desk, found = await _found(query.dead_letter_id, deps)
    return _dead_letter(desk.context, found)


async def redrive_dead_letter(cmd: c.RedriveDeadLetter, deps: AdminDeps) -> c.DeadLetter:
    desk, found = await _found(cmd.dead_letter_id, deps)
    await desk.redrive(found.consumer, found.id)
    async with deps.transaction() as tx:
        return await tx.answer(_dead_letter(desk.context, found))


async def redrive_dead_letters(cmd: c.RedriveDeadLetters, deps: AdminDeps) -> c.Redriven:
    if not (cmd.consumer or cmd.name):
        raise Invalid.fields(FieldError("consumer", "missing", "name a consumer, messages by their name, or both: what is to be handled anew?"))
    return c.Redriven(sum([await desk.redrive_all(cmd.consumer, cmd.name) for desk in deps.desks.values()]))


async def list_consumers(_: c.ListConsumers, deps: AdminDeps) -> c.Consumers:
    return c.Consumers(tuple([view for desk in deps.desks.values() for view in await _consumers(desk)]))


async def browse_log(query: c.BrowseLog, deps: AdminDeps) -> c.LogPage:
    desk = deps.desks.get(part_of(query.context, query.stream, deps))
    if desk is None:
        raise NotFound("context.not_found", f"no context {query.context!r} runs here; these do: {', '.join(sorted(deps.desks))}")
    before = after_number(query.cursor)[0] if query.cursor else 0
    page = await desk.browse(query.stream, query.name, before, query.limit)
    return c.LogPage(tuple(_logged(row) for row in page.rows), str(page.onward) if page.onward else None)


async def _consumers(desk: DeskView) -> list[c.ConsumerView]:
    lags, failed = dict[str, dict[str, int]](), await desk.failed_messages()
    for found in await desk.progress():
        lags.setdefault(found.consumer, {})[found.source] = found.lag
    views = []
    for name, lag in lags.items():
        own = [letter.dead for letter in failed if letter.consumer == name]
        views.append(c.ConsumerView(context=desk.context, name=name, lags=lag, failed=own.count(False), dead=own.count(True)))
    return views


async def _found(dead_letter_id: str, deps: AdminDeps) -> tuple[DeskView, FailedMessage]:
    """Raises NotFound `dead_letter.not_found`."""
    context, consumer, id = _parts(dead_letter_id)
    desk = deps.desks.get(context)
    letters = await desk.failed_messages(dead=True) if desk else ()
    found = next((letter for letter in letters if (letter.consumer, letter.id) == (consumer, id)), None)
    if desk is None or found is None:
        raise NotFound("dead_letter.not_found", f"there is no dead letter {dead_letter_id!r}: it may have been redriven meanwhile")
    return desk, found


def _dead_letter(context: str, letter: FailedMessage) -> c.DeadLetter:
    return c.DeadLetter(
        id=id_of(context, letter), context=context, consumer=letter.consumer, source=letter.source, message_id=letter.id,
        name=letter.name, stream=letter.stream, attempts=letter.attempts, error=letter.error, failed_at=letter.next_at,
    )  # fmt: skip


def _place(letter: c.DeadLetter) -> str:
    return f"{stamp(letter.failed_at)}/{letter.id}"


def id_of(context: str, letter: FailedMessage) -> str:
    """What operators name a dead letter by."""
    return urlsafe_b64encode(f"{context}\n{letter.consumer}\n{letter.id}".encode()).decode().rstrip("=")


def _parts(id: str) -> tuple[str, str, str]:
    """Context, consumer and message; of something else, what no dead letter has."""
    try:
        parts = urlsafe_b64decode(id + "=" * (-len(id) % 4)).decode().split("\n")
    except ValueError:
        return "", "", ""
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else ("", "", "")


def _logged(row: LogRow) -> c.LoggedMessage:
    return c.LoggedMessage(
        id=f"{row.context}/{row.stream}/{row.version}", context=row.context, position=row.position, stream=row.stream, version=row.version, name=row.name,
        at=row.at, data=msgspec.Raw(bytes(row.data)), cause=row.meta.cause, actor=row.meta.actor, request_id=row.meta.request,
    )  # fmt: skip
