"""Payments as others see them: taking an order's money, giving it back, and what a wallet holds."""

from __future__ import annotations

from typing import Literal

from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Money

Method = Literal["balance", "card", "cash"]


@message("payment.process_payment")
class ProcessPayment(Command[None], frozen=True, kw_only=True):
    """Takes an order's money: at once from the wallet, by the acquirer's page for a card, at the door for cash. Answered by PaymentProcessed or
    PaymentFailed; asking again for the same order never takes it twice."""

    order_id: str
    user_id: str
    amount: Money
    method: Method


@message("payment.redirected")
class PaymentRedirected(Event, frozen=True, kw_only=True):
    """The buyer is to pay on the acquirer's page."""

    order_id: str
    payment_id: str
    redirect_url: str


@message("payment.processed")
class PaymentProcessed(Event, frozen=True, kw_only=True):
    """The money is taken (`captured`), or will be at the door (cash)."""

    order_id: str
    payment_id: str
    amount: Money
    method: Method
    captured: bool


@message("payment.captured")
class PaymentCaptured(Event, frozen=True, kw_only=True):
    """Cash was taken at the door."""

    order_id: str
    payment_id: str
    amount: Money


@message("payment.failed")
class PaymentFailed(Event, frozen=True, kw_only=True):
    """No money was taken. `reason` is a sentence for the buyer."""

    order_id: str
    payment_id: str
    reason: str


@message("payment.refund_payment")
class RefundPayment(Command[None], frozen=True, kw_only=True):
    """Gives an order's money back: `amount`, or with None all that is left. Without a captured payment the attempt is closed instead, and money that
    arrives later goes back by itself. Answered by PaymentRefunded, also when there is nothing to give back; one `refund_id` takes effect once."""

    order_id: str
    refund_id: str
    reason: str
    amount: Money | None = None


@message("payment.refunded")
class PaymentRefunded(Event, frozen=True, kw_only=True):
    order_id: str
    refund_id: str
    payment_id: str
    amount: Money


@message("payment.get_balance")
class GetBalance(Query[Money], frozen=True):
    """What a user's wallet holds."""

    user_id: str
