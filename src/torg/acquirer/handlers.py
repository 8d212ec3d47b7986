"""What the acquirer does for merchants, buyers and banks. The table at the bottom is the merchants' index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from torg.acquirer import charges
from torg.acquirer import messages as m
from torg.acquirer.books import Books
from torg.acquirer.cards import Card
from torg.acquirer.charges import Charge
from torg.acquirer.faults import FaultPanel, Faults
from torg.acquirer.notices import Notices
from torg.kit.calls import Handlers
from torg.kit.errors import DomainError, Unavailable
from torg.kit.store import Store, Transaction
from torg.kit.values import Clock, NewId


@dataclass(frozen=True)
class AcquirerDeps:
    """`base_url` is where the acquirer's own pages are, without a slash at the end."""

    clock: Clock
    new_id: NewId
    store: Store
    books: Books
    notices: Notices
    faults: FaultPanel
    base_url: str


# ---------------------------------------------------------------- merchants ask


async def open_session(cmd: m.OpenSession, deps: AcquirerDeps) -> m.ChargeView:
    charge = Charge(deps.new_id(), cmd.reference, cmd.amount, cmd.return_url, deps.clock())
    async with deps.store.transaction() as tx:
        if not await deps.books.open(tx, charge):
            charge = await deps.books.of_reference(tx, cmd.reference)
            if charge.amount != cmd.amount:
                raise DomainError("charge.other_amount", f"{cmd.reference} was opened for {charge.amount.amount} {charge.amount.currency}")
        view = await tx.answer(charge.view(deps.base_url))
    return await _reply(view, deps)


async def get_charge(query: m.GetCharge, deps: AcquirerDeps) -> m.ChargeView:
    return (await deps.books.load(query.charge_id)).view(deps.base_url)


async def capture_charge(cmd: m.CaptureCharge, deps: AcquirerDeps) -> m.ChargeView:
    return await _for_merchant(cmd.charge_id, charges.capture, deps)


async def void_charge(cmd: m.VoidCharge, deps: AcquirerDeps) -> m.ChargeView:
    return await _for_merchant(cmd.charge_id, charges.void, deps)


async def refund_charge(cmd: m.RefundCharge, deps: AcquirerDeps) -> m.ChargeView:
    async with deps.store.transaction() as tx:
        charge = await deps.books.load(cmd.charge_id, tx)
        if await deps.books.note_refund(tx, charge.id, cmd.refund_id, cmd.amount):
            charge = charges.refund(charge, cmd.amount)
            await deps.books.change(tx, charge)
        view = await tx.answer(charge.view(deps.base_url))
    return await _reply(view, deps)


async def get_books(query: m.GetBooks, deps: AcquirerDeps) -> m.Books:
    shown, cursor = await deps.books.page(query.cursor, query.limit)
    return m.Books(tuple(charge.view(deps.base_url) for charge in shown), cursor)


async def set_faults(cmd: Faults, deps: AcquirerDeps) -> None:
    deps.faults.now = cmd


# ---------------------------------------------------------------- buyers and banks act


async def pay(charge_id: str, card: Card, deps: AcquirerDeps) -> Charge:
    """Raises DomainError when the charge is not open any more."""
    late = timedelta(seconds=deps.faults.now.late_seconds)
    return await _change(charge_id, lambda charge: charges.pay(charge, card, deps.clock(), late), deps)


async def confirm(charge_id: str, agreed: bool, deps: AcquirerDeps) -> Charge:
    """Raises DomainError when there is nothing to confirm."""
    return await _change(charge_id, lambda charge: charges.confirm(charge, agreed), deps)


async def give_up(charge_id: str, deps: AcquirerDeps) -> Charge:
    """Raises DomainError when the charge is not open any more."""
    return await _change(charge_id, charges.give_up, deps)


async def settle_late_ones(deps: AcquirerDeps) -> None:
    """One turn of the job: the banks that are done with their late cards."""
    for charge_id in await deps.books.to_settle(deps.clock()):
        await _change(charge_id, charges.settle, deps)


async def _change(charge_id: str, decide: Callable[[Charge], Charge], deps: AcquirerDeps) -> Charge:
    async with deps.store.transaction() as tx:
        return await _decide(tx, charge_id, decide, deps)


async def _decide(tx: Transaction, charge_id: str, decide: Callable[[Charge], Charge], deps: AcquirerDeps) -> Charge:
    before = await deps.books.load(charge_id, tx)
    charge = decide(before)
    if charge != before:
        await deps.books.change(tx, charge)
    if charge.status != before.status and charge.status not in ("confirming", "processing"):
        await deps.notices.tell(tx, charge)
    return charge


async def _for_merchant(charge_id: str, decide: Callable[[Charge], Charge], deps: AcquirerDeps) -> m.ChargeView:
    async with deps.store.transaction() as tx:
        charge = await _decide(tx, charge_id, decide, deps)
        view = await tx.answer(charge.view(deps.base_url))
    return await _reply(view, deps)


async def _reply(view: m.ChargeView, deps: AcquirerDeps) -> m.ChargeView:
    """What was done is done; the faults that are on decide how the merchant hears of it."""
    if deps.faults.now.webhook_before_reply:
        await deps.notices.deliver()
    if deps.faults.now.slow_replies:
        await asyncio.sleep(deps.faults.now.slow_replies)
    if deps.faults.strikes("lost_replies"):
        raise Unavailable("the reply was lost on its way")
    return view


HANDLERS: Handlers = {
    m.OpenSession: open_session,
    m.GetCharge: get_charge,
    m.CaptureCharge: capture_charge,
    m.VoidCharge: void_charge,
    m.RefundCharge: refund_charge,
    m.GetBooks: get_books,
    Faults: set_faults,
}
