"""What is told to everyone about an order's way."""

from __future__ import annotations

from datetime import datetime

from torg.contexts.order.contracts.orders import DeliveryPlan, OrderLine, PaymentState, ReturnLine
from torg.contexts.payment.contracts import Method
from torg.kit.messages import Event, message
from torg.kit.values import Money


@message("order.placed")
class OrderPlaced(Event, frozen=True, kw_only=True):
    """An order exists, at these prices."""

    order_id: str
    user_id: str
    bucket_id: str
    lines: tuple[OrderLine, ...]
    delivery: DeliveryPlan
    payment_method: Method
    items_total: Money
    delivery_price: Money
    discount: Money
    total: Money
    promo_code: str = ""


@message("order.reserved")
class OrderReserved(Event, frozen=True, kw_only=True):
    """All that the order lists is put aside for it."""

    order_id: str
    user_id: str


@message("order.paid")
class OrderPaid(Event, frozen=True, kw_only=True):
    """The order's money has come in."""

    order_id: str
    user_id: str
    payment_id: str


@message("order.confirmed")
class OrderConfirmed(Event, frozen=True, kw_only=True):
    """Everything is arranged; this is a sale."""

    order_id: str
    user_id: str
    lines: tuple[OrderLine, ...]
    city: str
    total: Money
    placed_at: datetime
    delivery_date: datetime | None = None


@message("order.shipped")
class OrderShipped(Event, frozen=True, kw_only=True):
    """The parcel was handed over to the carrier."""

    order_id: str
    user_id: str
    tracking_number: str


@message("order.delivered")
class OrderDelivered(Event, frozen=True, kw_only=True):
    """The parcel has arrived: from now on it can be reviewed, and returned."""

    order_id: str
    user_id: str
    product_ids: tuple[str, ...]


@message("order.rejected")
class OrderRejected(Event, frozen=True, kw_only=True):
    """It came to nothing, and everything was undone. `reason` is a sentence for the buyer."""

    order_id: str
    user_id: str
    reason: str


@message("order.cancellation_requested")
class CancellationRequested(Event, frozen=True, kw_only=True):
    """The order is to be stopped, and what was done for it undone."""

    order_id: str
    user_id: str
    reason: str


@message("order.cancellation_failed")
class CancellationFailed(Event, frozen=True, kw_only=True):
    """The parcel was handed over meanwhile: the order goes on."""

    order_id: str
    user_id: str
    reason: str


@message("order.cancelled")
class OrderCancelled(Event, frozen=True, kw_only=True):
    """The order is cancelled, and everything undone. `was_sale`: it had been confirmed, so reports take it back."""

    order_id: str
    user_id: str
    reason: str
    was_sale: bool


@message("order.return_requested")
class ReturnRequested(Event, frozen=True, kw_only=True):
    """Goods are to be fetched back; `refund` is what their buyer will get for them."""

    order_id: str
    user_id: str
    return_id: str
    lines: tuple[ReturnLine, ...]
    refund: Money
    reason: str


@message("order.returned")
class OrderReturned(Event, frozen=True, kw_only=True):
    """Goods are back and `refund` was paid back. `whole`: nothing of the order is left with the buyer."""

    order_id: str
    user_id: str
    return_id: str
    lines: tuple[ReturnLine, ...]
    refund: Money
    whole: bool
    goods: tuple[OrderLine, ...] = ()


@message("order.return_failed")
class ReturnFailed(Event, frozen=True, kw_only=True):
    """The goods did not come back: nothing is refunded."""

    order_id: str
    user_id: str
    return_id: str
    reason: str


@message("order.refunded")
class OrderRefunded(Event, frozen=True, kw_only=True):
    """So much of the order's money went back, under the payment's own id of the refund."""

    order_id: str
    user_id: str
    refund_id: str
    amount: Money


@message("order.payment_noted")
class PaymentNoted(Event, frozen=True, kw_only=True):
    """How the order's payment stands, as its buyer sees it."""

    order_id: str
    payment: PaymentState


@message("order.buyer_erased")
class BuyerErased(Event, frozen=True, kw_only=True):
    """Who placed the order was erased: of where it went the city is left, and of what they wrote nothing."""

    order_id: str
    user_id: str
