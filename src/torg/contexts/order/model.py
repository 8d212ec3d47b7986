"""The rules of an order. Its state is the fold of its events; each decision gives new events, or says no."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from torg.contexts.cart.contracts import Quote
from torg.contexts.order.contracts import (
    BuyerErased,
    CancellationFailed,
    CancellationRequested,
    DeliveryPlan,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderLine,
    OrderPaid,
    OrderPlaced,
    OrderRefunded,
    OrderRejected,
    OrderReserved,
    OrderReturned,
    OrderShipped,
    OrderView,
    PaymentNoted,
    PaymentState,
    ReturnFailed,
    ReturnLine,
    ReturnRequested,
    Status,
)
from torg.contexts.payment.contracts import Method
from torg.contexts.user.contracts import ERASED
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.messages import Envelope, Event, Message
from torg.kit.values import Money

RETURN_WITHIN = timedelta(days=30)
ENDED: tuple[Status, ...] = ("delivered", "rejected", "cancelled", "returned")
"""Nothing is to be brought any more; what was delivered may still come back."""

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    "pending": frozenset({"reserved", "rejected", "cancelling"}),
    "reserved": frozenset({"paid", "confirmed", "rejected", "cancelling"}),
    "paid": frozenset({"confirmed", "rejected", "cancelling"}),
    "confirmed": frozenset({"shipped", "cancelling"}),
    "shipped": frozenset({"delivered"}),
    "delivered": frozenset({"return_requested"}),
    "rejected": frozenset(),
    "cancelling": frozenset({"cancelled", "confirmed", "shipped", "delivered"}),
    "cancelled": frozenset(),
    "return_requested": frozenset({"returned", "delivered"}),
    "returned": frozenset(),
}

AS_ASKED, SENT_BACK = "cancelled as asked", "sent back"
"""What others are told of reasons: a buyer's own words stay in the order."""

PLAINLY: Mapping[type[Event], Status] = {
    OrderReserved: "reserved",
    OrderRejected: "rejected",
    CancellationRequested: "cancelling",
    OrderCancelled: "cancelled",
}
"""Events that bring an order into a status, and nothing more."""


class Order(msgspec.Struct, frozen=True):
    """An order as its events have made it."""

    placed: OrderPlaced
    placed_at: datetime
    updated_at: datetime
    payment: PaymentState
    status: Status = "pending"
    was_sale: bool = False
    shipped: bool = False
    delivered_at: datetime | None = None
    returned: Mapping[str, int] = {}
    refunds: Mapping[str, int] = {}
    returning: ReturnRequested | None = None
    erased: bool = False
    dropped: Mapping[str, ReturnRequested] = {}

    @property
    def id(self) -> str:
        return self.placed.order_id

    @property
    def user_id(self) -> str:
        return self.placed.user_id

    @property
    def cancellable(self) -> bool:
        """Until it is handed to the carrier."""
        return "cancelling" in TRANSITIONS[self.status]

    def view(self) -> OrderView:
        placed = self.placed
        return OrderView(
            id=placed.order_id, created_date=self.placed_at, status=self.status, bucket_id=placed.bucket_id, user_id=placed.user_id,
            lines=placed.lines, delivery=placed.delivery, payment=self.payment, items_total=placed.items_total,
            delivery_price=placed.delivery_price, discount=placed.discount, total=placed.total, cancellable=self.cancellable,
            updated_at=self.updated_at,
        )  # fmt: skip

    # ------------------------------------------------------------ decisions

    def reserve(self) -> list[Event]:
        return [OrderReserved(order_id=self.id, user_id=self.user_id)] if self.status == "pending" else []

    def pay(self, payment_id: str) -> list[Event]:
        """The money is there; cash may come when the parcel is already at the door."""
        if self.payment.status == "captured":
            return []
        return [OrderPaid(order_id=self.id, user_id=self.user_id, payment_id=payment_id)]

    def confirm(self, delivery_date: datetime | None) -> list[Event]:
        placed = self.placed
        return [
            OrderConfirmed(
                order_id=self.id, user_id=self.user_id, lines=placed.lines, city=placed.delivery.address.city, total=placed.total,
                placed_at=self.placed_at, delivery_date=delivery_date,
            )
        ]  # fmt: skip

    def give_up(self, reason: str) -> list[Event]:
        """Checkout came to nothing: rejected, or cancelled if that is why."""
        if self.status == "cancelling":
            return self.finish_cancellation(reason)
        return [OrderRejected(order_id=self.id, user_id=self.user_id, reason=reason)]

    def request_cancellation(self, reason: str) -> list[Event]:
        """Raises DomainError `order.not_cancellable`."""
        if not self.cancellable:
            raise DomainError(
                "order.not_cancellable", f"this order is {self.status.replace('_', ' ')}: it can be cancelled only until it is handed to the carrier"
            )
        return [CancellationRequested(order_id=self.id, user_id=self.user_id, reason=reason)]

    def finish_cancellation(self, reason: str) -> list[Event]:
        return [OrderCancelled(order_id=self.id, user_id=self.user_id, reason=reason, was_sale=self.was_sale)]

    def resume(self, reason: str) -> list[Event]:
        return [CancellationFailed(order_id=self.id, user_id=self.user_id, reason=reason)]

    def ship(self, tracking_number: str) -> list[Event]:
        return [] if self.shipped else [OrderShipped(order_id=self.id, user_id=self.user_id, tracking_number=tracking_number)]

    def deliver(self) -> list[Event]:
        if self.delivered_at:
            return []
        return [OrderDelivered(order_id=self.id, user_id=self.user_id, product_ids=tuple(line.product_id for line in self.placed.lines))]

    def note_payment(self, **changes: str | None) -> list[Event]:
        payment = replace(self.payment, **changes)
        return [PaymentNoted(order_id=self.id, payment=payment)] if payment != self.payment else []

    def refund(self, refund_id: str, amount: Money) -> list[Event]:
        """Money went back; with nothing to give back, an attempt that was still open is closed. A refund that is told of again changes nothing."""
        if refund_id in self.refunds:
            return []
        if amount:
            return [OrderRefunded(order_id=self.id, user_id=self.user_id, refund_id=refund_id, amount=amount)]
        return self.note_payment(status="failed", redirect_url=None) if self.payment.status == "pending" else []

    def request_return(self, return_id: str, lines: tuple[ReturnLine, ...], reason: str, now: datetime) -> list[Event]:
        """Raises DomainError `order.not_returnable`, Invalid for lines that are not with the buyer."""
        if self.status != "delivered" or self.delivered_at is None:
            raise DomainError("order.not_returnable", f"this order is {self.status.replace('_', ' ')}: only what was delivered can be returned")
        if now > self.delivered_at + RETURN_WITHIN:
            raise DomainError("order.not_returnable", f"it was delivered more than {RETURN_WITHIN.days} days ago")
        self._check_return(lines)
        refund = self._refund(lines)
        return [ReturnRequested(order_id=self.id, user_id=self.user_id, return_id=return_id, lines=lines, refund=refund, reason=reason)]

    def finish_return(self, return_id: str) -> list[Event]:
        asked = self.returning
        if asked is None or asked.return_id != return_id:
            return []
        back = {line.product_id: self.returned.get(line.product_id, 0) + line.quantity for line in asked.lines}
        whole = all(line.quantity <= {**self.returned, **back}.get(line.product_id, 0) for line in self.placed.lines)
        goods = tuple(_part(self._line(line.product_id), line.quantity) for line in asked.lines)
        return [
            OrderReturned(
                order_id=self.id, user_id=self.user_id, return_id=return_id, lines=asked.lines, refund=asked.refund, whole=whole, goods=goods
            )
        ]  # fmt: skip

    def drop_return(self, return_id: str, reason: str) -> list[Event]:
        return [ReturnFailed(order_id=self.id, user_id=self.user_id, return_id=return_id, reason=reason)]

    def take_back(self, return_id: str) -> list[Event]:
        """A return that was given up goes on, as its goods have come. Raises Invalid for more than is with the buyer."""
        asked = self.dropped.get(return_id)
        if asked is None:
            return []
        self._check_return(asked.lines)
        return [asked]

    def erase_buyer(self) -> list[Event]:
        return [] if self.erased else [BuyerErased(order_id=self.id, user_id=self.user_id)]

    def _line(self, product_id: str) -> OrderLine:
        return next(line for line in self.placed.lines if line.product_id == product_id)

    def _check_return(self, lines: tuple[ReturnLine, ...]) -> None:
        with_buyer = {line.product_id: line.quantity - self.returned.get(line.product_id, 0) for line in self.placed.lines}
        wanted: dict[str, int] = {}
        for line in lines:
            wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
        faults = [
            FieldError("lines", "return.too_many", f"{with_buyer.get(product, 0)} of product {product} can be returned, not {quantity}")
            for product, quantity in wanted.items()
            if quantity > with_buyer.get(product, 0)
        ]
        if faults:
            raise Invalid.fields(*faults)

    def _refund(self, lines: tuple[ReturnLine, ...]) -> Money:
        """The goods' share of what was paid for goods: a discount is given back in proportion, rounded down; delivery is not."""
        placed = self.placed
        worth = sum(self._line(line.product_id).unit_price.amount * line.quantity for line in lines)
        paid = placed.items_total.amount - min(placed.discount.amount, placed.items_total.amount)
        return Money(worth * paid // placed.items_total.amount if placed.items_total.amount else 0, placed.total.currency)


def place(order_id: str, user_id: str, quote: Quote, plan: DeliveryPlan, delivery_price: Money, method: Method, expected: Money | None) -> OrderPlaced:
    """What a cart becomes. Raises DomainError `cart.empty`, `cart.unavailable`, `order.total_changed`."""
    if not quote.lines:
        raise DomainError("cart.empty", "the cart is empty: put something in before you order")
    if gone := [line.name for line in quote.lines if not line.available]:
        raise DomainError("cart.unavailable", f"not enough in stock: {', '.join(gone)}")
    charged = Money(0, delivery_price.currency) if quote.free_delivery else delivery_price
    total = quote.items_total + charged - quote.discount
    if expected is not None and expected != total:
        raise DomainError("order.total_changed", f"the total is {total.amount} {total.currency} now, not {expected.amount}: look at the cart again")
    lines = tuple(
        OrderLine(
            product_id=line.product_id, name=line.name, quantity=line.quantity, unit_price=line.unit_price, line_total=line.line_total,
            category_path=line.category_path, weight_grams=line.weight_grams,
        )
        for line in quote.lines
    )  # fmt: skip
    return OrderPlaced(
        order_id=order_id, user_id=user_id, bucket_id=quote.cart_id, lines=lines, delivery=plan, payment_method=method, items_total=quote.items_total,
        delivery_price=charged, discount=quote.discount, total=total, promo_code=quote.promo_code,
    )  # fmt: skip


def already_ordered() -> DomainError:
    return DomainError("cart.already_ordered", "this cart has been ordered already; your orders show it")


def fold(history: Iterable[Envelope], order: Order | None = None) -> Order | None:
    """The order that these events make, oldest first, beginning with `order` when it is known so far; None when there are none."""
    for row in history:
        order = apply(order, row.message, row.at)
    return order


def apply(order: Order | None, event: object, at: datetime) -> Order:
    """The order after one more event."""
    if isinstance(event, OrderPlaced):
        return Order(event, at, at, PaymentState(method=event.payment_method, status="pending"))
    assert order is not None, "an order begins with OrderPlaced"
    changed = partial(replace, order, updated_at=at)
    match event:
        case OrderReserved() | OrderRejected() | CancellationRequested() | OrderCancelled():
            return changed(status=PLAINLY[type(event)])
        case OrderPaid():
            captured = replace(order.payment, status="captured", redirect_url=None)
            return changed(payment=captured, status="paid" if order.status == "reserved" else order.status)
        case OrderConfirmed():
            return changed(status="confirmed", was_sale=True)
        case OrderShipped():
            return changed(shipped=True, status=order.status if order.status == "cancelling" else "shipped")
        case OrderDelivered():
            return changed(delivered_at=at, status=order.status if order.status == "cancelling" else "delivered")
        case CancellationFailed():
            return changed(status="delivered" if order.delivered_at else "shipped" if order.shipped else "confirmed")
        case ReturnRequested():
            others = {id: dropped for id, dropped in order.dropped.items() if id != event.return_id}
            return changed(status="return_requested", returning=event, dropped=others)
        case OrderReturned():
            back = {line.product_id: order.returned.get(line.product_id, 0) + line.quantity for line in event.lines}
            return changed(status="returned" if event.whole else "delivered", returning=None, returned={**order.returned, **back})
        case ReturnFailed():
            dropped = {**order.dropped, event.return_id: order.returning} if order.returning else order.dropped
            return changed(status="delivered", returning=None, dropped=dropped)
        case OrderRefunded():
            return _refunded(changed(), event)
        case PaymentNoted():
            return changed(payment=event.payment)
        case BuyerErased():  # no step on its way
            return _erased(order)
        case _:
            return order


def _erased(order: Order) -> Order:
    placed = replace(order.placed, delivery=order.placed.delivery.erased())
    dropped = {id: replace(asked, reason=ERASED) for id, asked in order.dropped.items()}
    return replace(order, erased=True, placed=placed, dropped=dropped)


def _refunded(order: Order, event: OrderRefunded) -> Order:
    refunds = {**order.refunds, event.refund_id: event.amount.amount}
    whole = sum(refunds.values()) >= order.placed.total.amount
    return replace(order, refunds=refunds, payment=replace(order.payment, status="refunded" if whole else "partially_refunded"))


def without_person(event: Message) -> Message:
    """What may be kept of it when its buyer is erased."""
    if isinstance(event, OrderPlaced):
        return replace(event, delivery=event.delivery.erased())
    if isinstance(event, CancellationRequested | OrderCancelled | ReturnRequested):
        return replace(event, reason=ERASED)
    return event


def _part(line: OrderLine, quantity: int) -> OrderLine:
    return replace(line, quantity=quantity, line_total=line.unit_price * quantity)
