"""What no context can tell alone: whether orders, money, stock and deliveries fit together, sagas end, logs are whole, and everybody has heard."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from functools import partial

import msgspec

from torg.contexts.admin import model
from torg.contexts.admin.handlers import tracing
from torg.contexts.admin.handlers.desks import id_of
from torg.contexts.admin.handlers.following import follow
from torg.contexts.admin.model import Account
from torg.contexts.admin.ports import AdminDeps, SalesDay
from torg.contexts.analytics.contracts import GetSales
from torg.kit.auditing import Beginning, Come, Fault, Invariant, Place, Remedy
from torg.kit.bus import FailedMessage
from torg.kit.operations import DeskView

LATE = timedelta(seconds=60)  # how much later than its deadline a saga may be looked after
SLICE = 1000  # rows of a log between two breaths of the event loop
SLICES = 20  # of each log at one look
PORTION = 250  # accounts
ONCE_PER_CART = "one_order_per_cart"
FORWARD, AGAIN = "versions", "versions again"
Check = Callable[[AdminDeps], Awaitable[list[Fault]]]
Trace = Callable[[Fault, AdminDeps], Awaitable[Beginning]]


def invariants(deps: AdminDeps) -> Sequence[Invariant]:
    """What the admin context adds to the contexts' own."""

    def of_accounts(name: str, sentence: str) -> Invariant:
        trace = tracing.second_order if name == ONCE_PER_CART else partial(tracing.account_in_doubt, name)
        return Invariant(f"orders.{name}", sentence, partial(_of_accounts, name, deps), trace=partial(_traced, trace, deps))

    def over_all(name: str, sentence: str, check: Check, remedy: Remedy, trace: Trace | None = None, come: Callable[[], Come] | None = None) -> Invariant:
        return Invariant(name, sentence, partial(check, deps), remedy, partial(_traced, trace, deps) if trace else None, come)

    return (
        of_accounts(model.PAID_ONCE, "An order is charged once, and a sale is paid in full (cash at the door)."),
        of_accounts(model.PAID_BACK, "What was charged for an order that came to nothing, or for what was returned, is given back; no more and no less."),
        of_accounts(model.HELD, "Stock is held for live orders alone, and every sale holds or has taken its stock."),
        of_accounts(model.BOOKED, "Every sale has its delivery, and nothing is delivered for an order that came to nothing."),
        of_accounts(ONCE_PER_CART, "A cart becomes one order."),
        over_all("sagas.end", "Every saga reaches an end: none is stuck, or more than a minute past its deadline.", _unended_sagas, "saga", tracing.saga_began),
        over_all(
            "logs.whole", "The versions of every stream of every log follow one another from 1.", _torn_logs, "restore", tracing.gap, deps.inspection.again.told
        ),
        over_all(
            "consumers.keep_up", "No consumer stands still while there is something for it to handle.", _standing_consumers, "restart", tracing.first_unhandled
        ),
        over_all("messages.handled", "Every message was handled by everybody who wanted it: there are no dead letters.", _dead_letters, "redrive"),
        over_all("reports.equal_logs", "Sales reports equal a recount of the logs of orders.", _unequal_reports, "rebuild_reports", tracing.first_sale),
    )


async def _traced(trace: Trace, deps: AdminDeps, fault: Fault) -> Beginning:
    return await trace(fault, deps)


# ---------------------------------------------------------------- orders


async def _of_accounts(name: str, deps: AdminDeps) -> list[Fault]:
    """The first of these to be asked brings the books up to date and goes through them for all. While there is more in the logs than one look reads, the
    last that was found stands."""
    kept = deps.inspection
    if not kept.followed:
        if await follow(deps):
            kept.accounts = await _go_through(deps)
            kept.troubled = await _troubled(deps) if kept.accounts else {}
        kept.followed = True
    lasting = deps.inspection.doubts.lasting(name, kept.accounts.get(name, ()), deps.clock())
    return [msgspec.structs.replace(fault, remedy=kept.troubled.get(fault.id, fault.remedy)) for fault in lasting]


async def _go_through(deps: AdminDeps) -> dict[str, list[Fault]]:
    """What does not fit, by invariant. Accounts that fit are proven: not looked at again before something happens to them."""
    found: dict[str, list[Fault]] = {}
    after = ""
    while accounts := await deps.books.unproven(after, PORTION):
        after = accounts[-1].order_id
        fitting = []
        for account in accounts:
            doubts = [*model.doubts(account), *await _rivals(account, deps)]
            if not doubts:
                fitting.append(account.order_id)
            for name, fault in doubts:
                found.setdefault(name, []).append(fault)
        async with deps.transaction() as tx:
            await deps.books.prove(tx, fitting)
        await asyncio.sleep(0)
    return found


async def _rivals(account: Account, deps: AdminDeps) -> list[tuple[str, Fault]]:
    if account.stage == "ended":
        return []
    orders = sorted([account.order_id, *await deps.books.rivals(account)])
    if len(orders) < 2:
        return []
    said = f"cart {account.bucket_id} became {len(orders)} orders: {', '.join(orders)}"
    return [(ONCE_PER_CART, Fault(sentence=said, about="order", id=account.order_id, key=" ".join(orders), remedy="cancel"))]


async def _troubled(deps: AdminDeps) -> dict[str, Remedy]:
    """Orders that are in doubt because a message about them was given up, or a saga of theirs wants help: that is to be mended first."""
    found: dict[str, Remedy] = {}
    for desk in deps.desks.values():
        found |= {letter.stream: "redrive" for letter in await desk.failed_messages(dead=True)}
        found |= {saga.subject: "saga" for saga in await desk.overdue_sagas(deps.clock() - LATE)}
    return found


async def _unequal_reports(deps: AdminDeps) -> list[Fault]:
    """Each sentence carries the day's figures: a day that is being sold on, and whose report is a moment behind, is another doubt each time."""
    if "analytics" not in deps.desks:
        return []
    doubts = []
    for day in await deps.books.unproven_days():
        orders, revenue = await _reported(day, deps)
        if (orders, revenue) == (day.orders, day.revenue):
            async with deps.transaction() as tx:
                await deps.books.prove_day(tx, day)
        else:
            said = f"{day.day}: the logs tell of {day.orders} sales worth {day.revenue}, the report of {orders} worth {revenue}"
            doubts.append(Fault(sentence=said, about="day", id=day.day))
    return deps.inspection.doubts.lasting("reports", doubts, deps.clock())


async def _reported(day: SalesDay, deps: AdminDeps) -> tuple[int, int]:
    following = date.fromisoformat(day.day) + timedelta(days=1)
    report = await deps.call(GetSales(since=day.day, until=following.isoformat(), group_by="day"))
    return sum(row.orders for row in report.items), sum(row.revenue.amount for row in report.items)


# ---------------------------------------------------------------- sagas, logs, consumers


async def _unended_sagas(deps: AdminDeps) -> list[Fault]:
    """After a start, overdue sagas get their time to catch up."""
    stuck, late = [], []
    for part, desk in deps.desks.items():
        for saga in await desk.overdue_sagas(deps.clock() - LATE):
            fault = Fault(sentence=f"{saga.type} saga {saga.id} of {saga.subject} is {saga.status}", about="order", id=saga.subject, key=f"{part}/{saga.id}")
            if saga.status == "stuck":
                stuck.append(msgspec.structs.replace(fault, sentence=f"{fault.sentence}: its undo was asked for again and again, in vain"))
            else:
                since = f"{saga.deadline:%Y-%m-%d %H:%M:%S} UTC"
                late.append(msgspec.structs.replace(fault, sentence=f"{fault.sentence}, and nobody looked after it since {since}"))
    return stuck + deps.inspection.doubts.lasting("sagas", late, deps.clock())


async def _torn_logs(deps: AdminDeps) -> list[Fault]:
    """New rows of all logs, and a part of the old ones, in turns; what was found is looked at until it is mended."""
    for desk in deps.desks.values():
        if not await _look_forward(desk, deps):
            await _look_again(desk, deps)
    torn = []
    for source, stream in await deps.books.torn():
        missing = await deps.desks[source].missing_versions(stream) if source in deps.desks else 0
        if missing:
            said = f"stream {stream} of the log of {source} lacks {missing} of its versions"
            torn.append(Fault(sentence=said, about="stream", id=f"{source}/{stream}"))
        else:
            async with deps.transaction() as tx:
                await deps.books.set_torn(tx, source, stream, torn=False)
    return torn


async def _look_forward(desk: DeskView, deps: AdminDeps) -> bool:
    """Whether that was the whole log already."""
    began = position = await deps.books.read_until(FORWARD, desk.context)
    end = await desk.log.head()
    for _ in range(SLICES):
        if position >= end:
            break
        until = await desk.log.step(position, SLICE, end)
        await _file_torn(desk, FORWARD, position, until, deps)
        position = until
        await asyncio.sleep(0)
    return began == 0 and position >= end


async def _look_again(desk: DeskView, deps: AdminDeps) -> None:
    """One slice of the past: row by row, the whole log comes round again and again; a short one each time."""
    position, end = await deps.books.read_until(AGAIN, desk.context), await desk.log.head()
    again = deps.inspection.again
    if position >= end:
        position = 0
        again.begin(desk.context)
    again.go_on(desk.context, min(SLICE, end - position))
    await _file_torn(desk, AGAIN, position, await desk.log.step(position, SLICE, end), deps)


async def _file_torn(desk: DeskView, what: str, position: int, until: int, deps: AdminDeps) -> None:
    torn = await desk.torn_streams(position, until)
    async with deps.transaction() as tx:
        for stream in torn:
            await deps.books.set_torn(tx, desk.context, stream, torn=True)
        await deps.books.set_read_until(tx, what, desk.context, until)
    await asyncio.sleep(0)


async def _standing_consumers(deps: AdminDeps) -> list[Fault]:
    """A sentence carries the consumer's position: one that moves, however slowly, is another doubt each time."""
    waiting = [
        Fault(
            sentence=f"{found.consumer} stands at position {found.position} of the log of {found.source}, with more to handle behind it",
            about="consumer", id=found.consumer, key=f"{found.source}/{found.position}",
        )
        for desk in deps.desks.values()
        for found in await desk.progress()
        if found.lag
    ]  # fmt: skip
    return deps.inspection.doubts.lasting("consumers", waiting, deps.clock())


async def _dead_letters(deps: AdminDeps) -> list[Fault]:
    return [
        Fault(
            sentence=f"{letter.consumer} gave up on {letter.name} ({letter.id}) after {letter.attempts} tries: {letter.error}",
            about="dead_letter", id=id_of(desk.context, letter), began=_row_of(letter),
        )
        for desk in deps.desks.values()
        for letter in await desk.failed_messages(dead=True)
    ]  # fmt: skip


def _row_of(letter: FailedMessage) -> Beginning:
    """The row that it is."""
    _, _, version = letter.id.rpartition("/")
    return Beginning(Place(letter.source, letter.stream, int(version) if version.isdigit() else 0, letter.name))
