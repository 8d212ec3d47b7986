"""The three long ways of an order, as tables: checkout, cancellation, return."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec

from torg.contexts.inventory.contracts import (
    ItemsReleased,
    ItemsReserved,
    ItemsRestocked,
    ReleaseItems,
    ReservationExpired,
    ReservationFailed,
    ReserveItems,
    RestockItems,
    Units,
)
from torg.contexts.order.contracts import (
    CancelOrder,
    ConfirmOrder,
    CreateOrder,
    DeliveryPlan,
    DropReturn,
    FinishCancellation,
    FinishReturn,
    MarkPaid,
    MarkReserved,
    ResumeOrder,
    TakeBack,
    WithdrawOrder,
)
from torg.contexts.payment.contracts import Method, PaymentFailed, PaymentProcessed, PaymentRefunded, ProcessPayment, RefundPayment
from torg.contexts.shipping.contracts import (
    CancellationRefused,
    CancelShipping,
    NoCarrier,
    ReturnReceived,
    ReturnRefused,
    ScheduleReturn,
    ScheduleShipping,
    ShippingCancelled,
    ShippingScheduled,
)
from torg.contexts.user.contracts import ERASED
from torg.kit.messages import Message
from torg.kit.saga import Instance, Saga, Step
from torg.kit.values import Money

HOLD_MARGIN = timedelta(minutes=5)  # stock is held this much longer than paying may take
OUT_OF_STOCK = "the reservation ran out"


class CheckoutState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the steps of a checkout need to know."""

    order_id: str
    user_id: str
    lines: tuple[Units, ...]
    weight_grams: int
    delivery: DeliveryPlan
    method: Method
    total: Money
    pay_until: datetime
    pay_seconds: float
    source: str = ""
    payment_id: str = ""
    captured: bool = False
    delivery_date: datetime | None = None

    def hold(self) -> ReserveItems:
        until = self.pay_until + HOLD_MARGIN
        return ReserveItems(order_id=self.order_id, lines=self.lines, city=self.delivery.address.city, hold_until=until)

    def charge(self) -> ProcessPayment:
        return ProcessPayment(order_id=self.order_id, user_id=self.user_id, amount=self.total, method=self.method)

    def refund(self, reason: str) -> RefundPayment:
        return RefundPayment(order_id=self.order_id, refund_id=f"{self.order_id}/undo", reason=reason)

    def book(self) -> ScheduleShipping:
        return ScheduleShipping(
            order_id=self.order_id, user_id=self.user_id, source=self.source, destination=self.delivery.address, method=self.delivery.method,
            lines=self.lines, weight_grams=self.weight_grams, pickup_point_id=self.delivery.pickup_point_id,
        )  # fmt: skip


def _reserved(state: CheckoutState, event: ItemsReserved) -> CheckoutState:
    return msgspec.structs.replace(state, source=event.source)


def _paid(state: CheckoutState, event: PaymentProcessed) -> CheckoutState:
    return msgspec.structs.replace(state, payment_id=event.payment_id, captured=event.captured)


def _scheduled(state: CheckoutState, event: ShippingScheduled) -> CheckoutState:
    return msgspec.structs.replace(state, delivery_date=event.delivery_date)


CHECKOUT = Saga(
    name="checkout",
    state=CheckoutState,
    subject=attrgetter("order_id"),
    steps=(
        Step(
            "create",
            CreateOrder,
            make=lambda s: CreateOrder(s.order_id),
            undo=CancelOrder,
            make_undo=lambda s, reason: CancelOrder(s.order_id, reason),
        ),
        Step(
            "reserve",
            ReserveItems,
            make=CheckoutState.hold,
            done=ItemsReserved,
            failed=(ReservationFailed,),
            learn=_reserved,
            then=lambda s: MarkReserved(s.order_id),
            undo=ReleaseItems,
            make_undo=lambda s, _: ReleaseItems(s.order_id),
            undone=ItemsReleased,
        ),
        Step(
            "pay",
            ProcessPayment,
            make=CheckoutState.charge,
            done=PaymentProcessed,
            failed=(PaymentFailed,),
            broken_by=(ReservationExpired,),
            learn=_paid,
            then=lambda s: MarkPaid(s.order_id, s.payment_id) if s.captured else None,
            undo=RefundPayment,
            make_undo=CheckoutState.refund,
            undone=PaymentRefunded,
            patience=lambda s: timedelta(seconds=s.pay_seconds if s.method == "card" else 10),
            tries=lambda s: 1 if s.method == "card" else 5,
        ),
        Step(
            "ship",
            ScheduleShipping,
            make=CheckoutState.book,
            done=ShippingScheduled,
            failed=(NoCarrier,),
            broken_by=(ReservationExpired,),
            learn=_scheduled,
            undo=CancelShipping,
            make_undo=lambda s, _: CancelShipping(s.order_id),
            undone=ShippingCancelled,
        ),
        Step("confirm", ConfirmOrder, make=lambda s: ConfirmOrder(s.order_id, s.delivery_date)),
    ),
    late={ReservationExpired: lambda event: WithdrawOrder(event.order_id, OUT_OF_STOCK) if event.gone else None},
)


class CancelState(msgspec.Struct, frozen=True):
    order_id: str
    reason: str


CANCEL = Saga(
    name="cancel",
    state=CancelState,
    subject=attrgetter("order_id"),
    steps=(
        Step(
            "stop",
            CancelShipping,
            make=lambda s: CancelShipping(s.order_id),
            done=ShippingCancelled,
            failed=(CancellationRefused,),
            tries=lambda _: 1_000_000,  # a cancellation that was accepted is never given up for lack of an answer
        ),
        Step(
            "refund",
            RefundPayment,
            make=lambda s: RefundPayment(order_id=s.order_id, refund_id=f"{s.order_id}/cancel", reason=s.reason),
            done=PaymentRefunded,
            tries=lambda _: 1_000_000,
        ),
        Step("release", ReleaseItems, make=lambda s: ReleaseItems(s.order_id), done=ItemsReleased, tries=lambda _: 1_000_000),
        Step("finish", FinishCancellation, make=lambda s: FinishCancellation(s.order_id)),
    ),
    gave_up=lambda s, reason: ResumeOrder(s.order_id, reason),
)


class ReturnState(msgspec.Struct, frozen=True, kw_only=True):
    order_id: str
    return_id: str
    lines: tuple[Units, ...]
    refund: Money
    reason: str


def _of_this_return(state: ReturnState, answer: Any) -> bool:
    """An order may be returned in parts, one after the other."""
    return getattr(answer, "return_id", getattr(answer, "refund_id", state.return_id)) == state.return_id


RETURN = Saga(
    name="return",
    state=ReturnState,
    subject=attrgetter("order_id"),
    steps=(
        Step(
            "collect",
            ScheduleReturn,
            make=lambda s: ScheduleReturn(order_id=s.order_id, return_id=s.return_id, lines=s.lines),
            done=ReturnReceived,
            failed=(ReturnRefused,),
            patience=lambda _: timedelta(days=30),
            tries=lambda _: 1,
        ),
        Step(
            "restock",
            RestockItems,
            make=lambda s: RestockItems(order_id=s.order_id, return_id=s.return_id, lines=s.lines),
            done=ItemsRestocked,
            tries=lambda _: 1_000_000,
        ),
        Step(
            "refund",
            RefundPayment,
            make=lambda s: RefundPayment(order_id=s.order_id, refund_id=s.return_id, reason=s.reason, amount=s.refund),
            done=PaymentRefunded,
            tries=lambda _: 1_000_000,
        ),
        Step("finish", FinishReturn, make=lambda s: FinishReturn(s.order_id, s.return_id)),
    ),
    gave_up=lambda s, reason: DropReturn(s.order_id, s.return_id, reason),
    late={ReturnReceived: lambda event: TakeBack(event.order_id, event.return_id)},
    concerns=_of_this_return,
)

SAGAS = (CHECKOUT, CANCEL, RETURN)


def without_person(ended: Instance) -> Instance:
    """What may be kept of a saga when the buyer is erased. Reasons go altogether: nobody can tell who worded them."""
    state = ended.state
    if isinstance(state, CheckoutState):
        state = msgspec.structs.replace(state, delivery=state.delivery.erased())
    else:
        state = msgspec.structs.replace(state, reason=ERASED)
    steps = tuple(msgspec.structs.replace(step, error=step.error and ERASED) for step in ended.steps)
    return msgspec.structs.replace(ended, state=state, steps=steps, reason=ended.reason and ERASED)


def asked_without_person(command: Message) -> Message:
    """What may be kept of a saga's command when the buyer is erased."""
    if isinstance(command, ScheduleShipping):
        return msgspec.structs.replace(command, destination=command.destination.erased(), pickup_point_id="")
    if isinstance(command, RefundPayment):
        return msgspec.structs.replace(command, reason=ERASED)
    return command
