"""The sagas' steps at home."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torg.contexts.inventory.contracts import Units
from torg.contexts.order import contracts as c
from torg.contexts.order import model
from torg.contexts.order.model import Order
from torg.contexts.order.ports import OrderDeps
from torg.contexts.order.sagas import CANCEL, RETURN, CancelState, ReturnState
from torg.kit.messages import Event


async def create_order(cmd: c.CreateOrder, deps: OrderDeps) -> None:
    """Nothing is left to do: PlaceOrder's commit made the order and started the saga together."""


async def mark_reserved(cmd: c.MarkReserved, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.reserve())


async def mark_paid(cmd: c.MarkPaid, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.pay(cmd.payment_id))


async def confirm_order(cmd: c.ConfirmOrder, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.confirm(cmd.delivery_date))


async def cancel_order(cmd: c.CancelOrder, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.give_up(cmd.reason))


async def withdraw_order(cmd: c.WithdrawOrder, deps: OrderDeps) -> None:
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, cmd.order_id)
        if order.status == "confirmed" and not await deps.sagas.active(tx, order.id):
            await deps.orders.change(tx, order, order.request_cancellation(cmd.reason))
            await deps.sagas.start(tx, CANCEL, order.id, CancelState(order.id, cmd.reason))


async def finish_cancellation(cmd: c.FinishCancellation, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.finish_cancellation(model.AS_ASKED))


async def resume_order(cmd: c.ResumeOrder, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.resume(cmd.reason))


async def finish_return(cmd: c.FinishReturn, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.finish_return(cmd.return_id))


async def drop_return(cmd: c.DropReturn, deps: OrderDeps) -> None:
    await decide(cmd.order_id, deps, lambda order: order.drop_return(cmd.return_id, cmd.reason))


async def take_back(cmd: c.TakeBack, deps: OrderDeps) -> None:
    """Raises DomainError `saga.busy` while another return is under way: it waits for its end."""
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, cmd.order_id)
        if events := order.take_back(cmd.return_id):
            order = await deps.orders.change(tx, order, events)
            await deps.sagas.start(tx, RETURN, order.id, return_of(order), done=["collect"])


async def decide(order_id: str, deps: OrderDeps, rule: Callable[[Order], Sequence[Event]]) -> None:
    """Brings an order as far as its own rules say."""
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, order_id)
        await deps.orders.change(tx, order, rule(order))


def return_of(order: Order) -> ReturnState:
    asked = order.returning
    assert asked is not None, "a return saga starts with a requested return"
    lines = tuple(Units(line.product_id, line.quantity) for line in asked.lines)
    return ReturnState(order_id=order.id, return_id=asked.return_id, lines=lines, refund=asked.refund, reason=model.SENT_BACK)
