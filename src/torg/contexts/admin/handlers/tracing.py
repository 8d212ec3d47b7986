"""Since when something does not hold that no context can tell alone: found in the logs, by a bounded number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from torg.contexts.admin import model
from torg.contexts.admin.handlers.places import part_of
from torg.contexts.admin.model import FOLLOWED, Account
from torg.contexts.admin.ports import AdminDeps
from torg.contexts.order.contracts import OrderConfirmed
from torg.kit.auditing import Beginning, Fault, Place, untold
from torg.kit.errors import DomainError, Unavailable
from torg.kit.messages import Message
from torg.kit.operations import LogRow
from torg.kit.shards import context_of_part
from torg.kit.values import stamp

MOST: Final = 1000  # rows of a stream that are read at most
AT_ONCE: Final = 500
STEPS: Final = 64  # looks at a log to find a day in it
DECODERS: Final = {kind.NAME: msgspec.json.Decoder(kind) for kinds in FOLLOWED.values() for kind in kinds}
LONGEST_WAIT: Final = 2000  # rows behind the beginning of a day among which its first sale is looked for


async def found_row(named: Place, deps: AdminDeps) -> Place | None:
    """The whole of a row of which a context knew only a part; None where its log has no such row."""
    if named.position:
        return named
    desk = deps.desks.get(part_of(named.context, named.stream, deps))
    if desk is None:
        return None
    try:
        if named.version:
            rows: Sequence[LogRow] = await desk.rows(named.stream, named.version - 1, 1)
        else:
            rows = [row for row in await desk.rows(named.stream, 0, AT_ONCE) if row.name == named.name]
    except (Unavailable, DomainError):
        return None
    return place(rows[0]) if rows and named.version in (0, rows[0].version) else None


async def account_in_doubt(name: str, fault: Fault, deps: AdminDeps) -> Beginning:
    """Goes through what the logs say of an order in the order of time: the row since which the doubt has not gone away."""
    known = (await deps.books.some([fault.id])).get(fault.id)
    if known is None or ((known.charges or known.agreed >= 0 or known.given_back) and not known.payment_id):
        return untold("the auditor's books do not say where its payments are logged: they were written by an earlier version")
    rows = await _rows_of_order(known, deps)
    account, since = Account(order_id=fault.id), None
    for row in rows:
        message = _message(row)
        account = model.note(account, message) if getattr(message, "order_id", "") == fault.id else account
        doubted = any(doubt == name for doubt, _ in model.doubts(account))
        since = (since or row) if doubted else None
    if since is None:
        return untold("as the logs are now nothing of it is in doubt: they say other than the auditor's books")
    return Beginning(place(since))


async def second_order(fault: Fault, deps: AdminDeps) -> Beginning:
    """Of several orders of a cart the second one's first row."""
    first = [row for id in fault.key.split() if (row := await _first(part_of("order", id, deps), id, deps))]
    first.sort(key=lambda row: (row.at, row.position))
    return Beginning(place(first[1])) if len(first) > 1 else untold("the log has not both of the orders any more")


async def gap(fault: Fault, deps: AdminDeps) -> Beginning:
    """The row behind the first version that is missing."""
    source, _, stream = fault.id.partition("/")
    before, read = None, 0
    while read < MOST * 10 and (rows := await deps.desks[source].rows(stream, before.version if before else 0, AT_ONCE)):
        for row in rows:
            if row.version != (before.version if before else 0) + 1:
                return Beginning(place(row), note=f"{_missing(before, row)}; {_neighbour(before)}")
            before = row
        read += len(rows)
    return untold(f"no version is missing among the first {read} rows of the stream")


async def saga_began(fault: Fault, deps: AdminDeps) -> Beginning:
    """The row that began it, and its last step: the commands of a saga stand in a stream of its own."""
    context, _, saga_id = fault.key.partition("/")
    rows = await deps.desks[context].rows(saga_id, 0, AT_ONCE)
    if not rows:
        return untold("the log has no row of its steps")
    last = rows[-1]
    return Beginning(place(rows[0]), note=f"its last step was {last.name} at {last.at:%Y-%m-%d %H:%M:%S} UTC (version {last.version})")


async def first_unhandled(fault: Fault, deps: AdminDeps) -> Beginning:
    """The first row behind where a consumer stands."""
    source, _, position = fault.key.rpartition("/")
    desk = deps.desks.get(source)
    rows = await desk.rows("", int(position), 1) if desk else ()
    return Beginning(place(rows[0]), note="the first row behind the position at which it stands") if rows else untold("there is no row behind its position")


async def first_sale(fault: Fault, deps: AdminDeps) -> Beginning:
    """The first sale of a day: a report is a sum, which can't say what it lacks. By halves, since positions grow with time."""
    why = "a report is a sum, which can't say what it lacks or has too much: this is the first sale of that day"
    firsts = [row for part in deps.desks if context_of_part(part) == "order" and (row := await _first_sale_in(part, fault.id, deps))]
    if not firsts:
        return untold(f"the logs have no sale that was confirmed on {fault.id}")
    return Beginning(min(firsts, key=lambda one: one.at.isoformat() if one.at else ""), exact=False, note=why)


async def _first_sale_in(part: str, day: str, deps: AdminDeps) -> Place | None:
    desk = deps.desks[part]
    low, high = 0, await desk.log.head()
    for _ in range(STEPS):
        if low >= high:
            break
        middle = (low + high) // 2
        rows = await desk.rows("", middle, 1)
        low, high = (low, middle) if not rows or f"{rows[0].at:%Y-%m-%d}" >= day else (rows[0].position, high)
    position = low
    for _ in range(LONGEST_WAIT // AT_ONCE):
        rows = await desk.rows("", position, AT_ONCE)
        for row in rows:
            if row.name == OrderConfirmed.NAME and f"{msgspec.json.decode(row.data, type=OrderConfirmed).placed_at:%Y-%m-%d}" == day:
                return place(row)
        if len(rows) < AT_ONCE:
            break
        position = rows[-1].position
    return None


# ---------------------------------------------------------------- small print


def place(row: LogRow) -> Place:
    return Place(row.context, row.stream, row.version, row.name, row.position, row.at)


async def _rows_of_order(account: Account, deps: AdminDeps) -> list[LogRow]:
    """By time, as far as clocks tell; the rows of one log always in their own order."""
    streams = {"order": account.order_id, "inventory": account.order_id, "payment": account.payment_id, "shipping": account.order_id}
    merged: list[tuple[str, int, int, LogRow]] = []
    for rank, (context, stream) in enumerate(streams.items()):
        desk, latest = deps.desks.get(part_of(context, stream, deps)), ""
        for row in await desk.rows(stream, 0, MOST) if desk and stream else ():
            latest = max(latest, stamp(row.at))
            if row.name in DECODERS:
                merged.append((latest, rank, row.position, row))
    return [row for *_, row in sorted(merged, key=lambda one: one[:3])]


def _message(row: LogRow) -> Message:
    message: Message = DECODERS[row.name].decode(row.data)
    return message


async def _first(part: str, stream: str, deps: AdminDeps) -> LogRow | None:
    desk = deps.desks.get(part)
    rows = await desk.rows(stream, 0, 1) if desk else ()
    return rows[0] if rows else None


def _missing(before: LogRow | None, behind: LogRow) -> str:
    first, last = (before.version if before else 0) + 1, behind.version - 1
    return f"version {first} is missing" if first == last else f"versions {first} to {last} are missing"


def _neighbour(before: LogRow | None) -> str:
    return f"before stands version {before.version}, {before.name} at position {before.position}" if before else "nothing stands before"
