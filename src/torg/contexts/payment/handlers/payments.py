"""Taking an order's money and giving it back, as the sagas ask; and looking payments up."""

from __future__ import annotations

from torg.contexts.payment import contracts as c
from torg.contexts.payment import model
from torg.contexts.payment.ports import PaymentDeps
from torg.contexts.shipping.contracts import DeliveryDelivered
from torg.kit.errors import NotFound
from torg.kit.messages import Event
from torg.kit.policy import Thing
from torg.kit.store import Transaction


async def process_payment(cmd: c.ProcessPayment, deps: PaymentDeps) -> None:
    outcome = model.begin(cmd, deps.new_id(), deps.clock(), deps.currency, deps.return_url(cmd.order_id))
    async with deps.transaction() as tx:
        if not await deps.payments.add(tx, outcome.payment):
            known = await deps.payments.of_order(tx, cmd.order_id)
            assert known is not None, "an order's payment is never deleted"
            await _tell(tx, known, model.say_again(known))
        elif not await deps.payments.file(tx, outcome, added=True):
            await deps.payments.file(tx, model.fail(outcome.payment, model.NOT_ENOUGH))


async def refund_payment(cmd: c.RefundPayment, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        payment = await deps.payments.of_order(tx, cmd.order_id)
        if payment is None:
            payment = model.tombstone(cmd.order_id, deps.new_id(), deps.currency, deps.clock())
            await deps.payments.add(tx, payment)
        if asked := await deps.payments.refund(tx, payment.id, cmd.refund_id):
            await _tell(tx, payment, model.say_refunded(payment, asked))
        else:
            amount = payment.part(cmd.amount) if cmd.amount is not None else None  # no money is an amount, too
            await deps.payments.file(tx, model.give_back(payment, cmd.refund_id, amount, cmd.reason))


async def on_delivery_delivered(event: DeliveryDelivered, deps: PaymentDeps) -> None:
    async with deps.transaction() as tx:
        payment = await deps.payments.of_order(tx, event.order_id)
        if payment and (outcome := model.hand_over(payment)).events:
            await deps.payments.file(tx, outcome)


async def list_payments(query: c.ListPayments, deps: PaymentDeps) -> c.PaymentPage:
    user_id = "" if deps.access.sees_all(query.viewer, "payments:read") else query.viewer.user_id
    page = await deps.payments.page(user_id, query.order_id, query.cursor, query.limit)
    return c.PaymentPage(tuple(deps.access.seen(query.viewer, "payment", view, owner=user_id) for view in page.items), page.next_cursor)


async def get_payment(query: c.GetPayment, deps: PaymentDeps) -> c.PaymentView:
    payment = await deps.payments.find(query.payment_id)
    if payment is None or not payment.user_id or not deps.access.allows(query.viewer, "payments:read", Thing(owner=payment.user_id)):
        raise NotFound("payment.not_found", f"you have no payment {query.payment_id}")
    return deps.access.seen(query.viewer, "payment", payment.view(), owner=payment.user_id)


async def _tell(tx: Transaction, payment: model.Payment, events: tuple[Event, ...]) -> None:
    if events:
        await tx.append(payment.id, events)
