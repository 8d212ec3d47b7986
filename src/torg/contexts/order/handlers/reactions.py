"""What others tell."""

from __future__ import annotations

from torg.contexts.order import contracts as c
from torg.contexts.order.handlers.steps import decide, mark_paid
from torg.contexts.order.ports import OrderDeps
from torg.contexts.payment.contracts import PaymentCaptured, PaymentFailed, PaymentRedirected, PaymentRefunded
from torg.contexts.shipping.contracts import DeliveryDelivered, DeliveryShipped


async def on_payment_redirected(event: PaymentRedirected, deps: OrderDeps) -> None:
    async with deps.transaction() as tx:
        order = await deps.orders.load(tx, event.order_id)
        if order.payment.status == "pending":  # else it has been paid, or given up, before this was heard
            await deps.orders.change(tx, order, order.note_payment(redirect_url=event.redirect_url))


async def on_payment_failed(event: PaymentFailed, deps: OrderDeps) -> None:
    await decide(event.order_id, deps, lambda order: order.note_payment(status="failed"))


async def on_payment_captured(event: PaymentCaptured, deps: OrderDeps) -> None:
    await mark_paid(c.MarkPaid(event.order_id, event.payment_id), deps)


async def on_payment_refunded(event: PaymentRefunded, deps: OrderDeps) -> None:
    await decide(event.order_id, deps, lambda order: order.refund(event.refund_id, event.amount))


async def on_delivery_shipped(event: DeliveryShipped, deps: OrderDeps) -> None:
    await decide(event.order_id, deps, lambda order: order.ship(event.tracking_number))


async def on_delivery_delivered(event: DeliveryDelivered, deps: OrderDeps) -> None:
    await decide(event.order_id, deps, lambda order: order.deliver())
