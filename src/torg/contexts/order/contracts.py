"""Orders: placing, looking up, cancelling, returning; and what is told to everyone about their way."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.contexts.payment.contracts import Method
from torg.contexts.shipping.contracts import DeliveryMethod
from torg.contexts.user.contracts import Address
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.period import PERIOD
from torg.kit.values import Limit, Money, ProductId, Quantity, Text

Status = Literal["pending", "reserved", "paid", "confirmed", "shipped", "delivered", "rejected", "cancelling", "cancelled", "return_requested", "returned"]


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it was ordered: its name and price stay what they were."""

    product_id: str
    name: str
    quantity: int
    unit_price: Money
    line_total: Money
    category_path: tuple[str, ...] = ()
    weight_grams: int = 0


class DeliveryChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How and where: an own saved address, a new one, or a pick-up point."""

    method: DeliveryMethod
    address_id: str = ""
    address: Address | None = None
    pickup_point_id: str = ""


class PaymentChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: Method


class DeliveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    method: DeliveryMethod
    address: Address
    pickup_point_id: str = ""

    def erased(self) -> DeliveryPlan:
        """What may be kept of it when the buyer is erased."""
        return msgspec.structs.replace(self, address=self.address.erased(), pickup_point_id="")


class PaymentState(msgspec.Struct, frozen=True, kw_only=True):
    method: Method
    status: Literal["pending", "authorized", "captured", "failed", "refunded", "partially_refunded"]
    redirect_url: str | None = None


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order as its buyer sees it. `total = items_total + delivery_price - discount`."""

    id: str
    created_date: datetime
    status: Status
    bucket_id: str
    user_id: str
    lines: tuple[OrderLine, ...]
    delivery: DeliveryPlan
    payment: PaymentState
    items_total: Money
    delivery_price: Money
    discount: Money
    total: Money
    cancellable: bool
    updated_at: datetime


class OrderPage(msgspec.Struct, frozen=True):
    items: tuple[OrderView, ...]
    next_cursor: str | None


# ---------------------------------------------------------------- asked by buyers


@message("order.place_order")
class PlaceOrder(Command[OrderView], frozen=True, kw_only=True):
    """Orders what is in the buyer's cart. Raises DomainError `cart.empty`, `cart.unavailable`, `order.total_changed`, `promo.*`, `saga.busy`."""

    buyer: Identity
    delivery: DeliveryChoice
    payment: PaymentChoice
    expected_total: Money | None = None


@message("order.list_orders")
class ListOrders(Query[OrderPage], frozen=True, kw_only=True):
    """The buyer's orders of a period, newest first; from inclusive, to exclusive, each a date or a time."""

    RULES = PERIOD

    buyer: Identity
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    status: Status | None = None
    cursor: str = ""
    limit: Limit = 24


@message("order.list_all_orders")
class ListAllOrders(Query[OrderPage], frozen=True, kw_only=True):
    """Everybody's orders of a period, for staff."""

    RULES = PERIOD

    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    status: Status | None = None
    user_id: str = ""
    cursor: str = ""
    limit: Limit = 24


class OrderCount(msgspec.Struct, frozen=True):
    status: Status
    count: int


class OrderCounts(msgspec.Struct, frozen=True):
    items: tuple[OrderCount, ...]


@message("order.count_orders")
class CountOrders(Query[OrderCounts], frozen=True, kw_only=True):
    """How many orders that were placed since a moment stand how, for staff."""

    since: datetime


@message("order.get_order")
class GetOrder(Query[OrderView], frozen=True):
    """Raises NotFound `order.not_found`, also for somebody else's order unless support asks."""

    order_id: str
    viewer: Identity


class HistoryEntry(msgspec.Struct, frozen=True):
    """One event of an order; `data` is the event as it stands in the log."""

    version: int
    name: str
    at: datetime
    data: msgspec.Raw


class History(msgspec.Struct, frozen=True):
    items: tuple[HistoryEntry, ...]


@message("order.get_history")
class GetHistory(Query[History], frozen=True):
    """An order's events, from its log."""

    order_id: str
    viewer: Identity


class SagaStep(msgspec.Struct, frozen=True, kw_only=True):
    step_id: str
    action: str
    service: str
    compensation: str | None
    status: str
    attempts: int
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class SagaView(msgspec.Struct, frozen=True, kw_only=True):
    """A saga as people read it; steps in their order."""

    saga_id: str
    saga_type: str
    order_id: str
    status: str
    current_step: str
    compensation_required: bool
    steps: tuple[SagaStep, ...]
    created_at: datetime
    updated_at: datetime


class SagaPage(msgspec.Struct, frozen=True):
    items: tuple[SagaView, ...]
    next_cursor: str | None


@message("order.get_saga")
class GetSaga(Query[SagaView], frozen=True):
    """The saga that placed the order."""

    order_id: str
    viewer: Identity


@message("order.list_sagas")
class ListSagas(Query[SagaPage], frozen=True, kw_only=True):
    """Sagas newest first, for operators."""

    status: Literal["", "running", "completed", "compensating", "compensated", "stuck"] = ""
    cursor: str = ""
    limit: Limit = 24


@message("order.retry_saga")
class RetrySaga(Command[SagaView], frozen=True):
    """An operator has the current step asked again. Raises NotFound for a saga that has ended."""

    saga_id: str


@message("order.compensate_saga")
class CompensateSaga(Command[SagaView], frozen=True):
    """An operator gives a saga up: all is undone."""

    saga_id: str


@message("order.cancel_order")
class CancelMyOrder(Command[OrderView], frozen=True, kw_only=True):
    """Stops the order and undoes what was done for it. Raises DomainError `order.not_cancellable` once it was handed to the carrier, or has
    ended."""

    order_id: str
    buyer: Identity
    reason: Text


class ReturnLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    product_id: ProductId
    quantity: Quantity


@message("order.request_return")
class RequestReturn(Command[OrderView], frozen=True, kw_only=True):
    """Has goods fetched back, within 30 days of delivery. Raises DomainError `order.not_returnable`, Invalid for lines that were not ordered or were
    returned before."""

    order_id: str
    buyer: Identity
    lines: Annotated[tuple[ReturnLine, ...], msgspec.Meta(min_length=1, max_length=100)]
    reason: Text


# ---------------------------------------------------------------- told to everyone


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


# ---------------------------------------------------------------- steps of the sagas that stay at home


@message("order.create_order")
class CreateOrder(Command[None], frozen=True):
    """Step one; PlaceOrder does it in the commit that starts the saga."""

    order_id: str


@message("order.undo_order")
class CancelOrder(Command[None], frozen=True):
    """The order came to nothing: it ends as rejected."""

    order_id: str
    reason: str


@message("order.mark_reserved")
class MarkReserved(Command[None], frozen=True):
    """All that the order lists is put aside."""

    order_id: str


@message("order.mark_paid")
class MarkPaid(Command[None], frozen=True):
    """The payment was captured."""

    order_id: str
    payment_id: str


@message("order.confirm_order")
class ConfirmOrder(Command[None], frozen=True):
    """Everything is arranged: the order becomes a sale."""

    order_id: str
    delivery_date: datetime | None = None


@message("order.finish_cancellation")
class FinishCancellation(Command[None], frozen=True):
    """All is undone: the order ends as cancelled."""

    order_id: str


@message("order.resume_order")
class ResumeOrder(Command[None], frozen=True):
    """Cancelling was refused: the order goes on where it was."""

    order_id: str
    reason: str


@message("order.withdraw_order")
class WithdrawOrder(Command[None], frozen=True):
    """What it had on hold is gone and cannot be had again: the shop cancels a confirmed order itself."""

    order_id: str
    reason: str


@message("order.finish_return")
class FinishReturn(Command[None], frozen=True):
    """The goods are back on the shelf, and paid back."""

    order_id: str
    return_id: str


@message("order.take_back")
class TakeBack(Command[None], frozen=True):
    """Goods of a return that was given up are there after all."""

    order_id: str
    return_id: str


@message("order.drop_return")
class DropReturn(Command[None], frozen=True):
    """The return came to nothing: the order stays delivered."""

    order_id: str
    return_id: str
    reason: str
