"""An order's account: what the logs of orders, payments, stock and deliveries say about it together, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from torg.contexts.inventory.contracts import ItemsReleased, ItemsReserved, ItemsShipped, ReservationExpired
from torg.contexts.order.contracts import (
    CancellationFailed,
    CancellationRequested,
    OrderCancelled,
    OrderConfirmed,
    OrderDelivered,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    OrderShipped,
    ReturnFailed,
    ReturnRequested,
)
from torg.contexts.payment.contracts import LedgerPosted, PaymentProcessed
from torg.contexts.shipping.contracts import DeliveryShipped, ShippingCancelled, ShippingScheduled
from torg.kit.auditing import Fault, Remedy
from torg.kit.messages import Message
from torg.kit.values import stamp

Stage = Literal["unknown", "under_way", "sold", "delivered", "ended", "returned"]
PAID_ONCE, PAID_BACK, HELD, BOOKED = "paid_once", "paid_back", "held_for_live_orders", "delivered_as_ordered"

FOLLOWED: dict[str, tuple[type[Message], ...]] = {
    "payment": (LedgerPosted, PaymentProcessed),
    "inventory": (ItemsReserved, ItemsReleased, ReservationExpired, ItemsShipped),
    "shipping": (ShippingScheduled, ShippingCancelled, DeliveryShipped),
    "order": (
        OrderPlaced, OrderConfirmed, OrderShipped, OrderDelivered, OrderRejected, CancellationRequested, CancellationFailed, OrderCancelled,
        ReturnRequested, ReturnFailed, OrderReturned,
    ),
}  # fmt: skip
"""What is read, by log, effects before causes: whoever has seen the charge will find its order, which was written before."""


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Amounts are minor units. `charges` counts ledger transactions, `owed` is what finished returns are worth, `sold_on` the day of a sale that
    was not undone and `revenue` what it brought."""

    order_id: str
    bucket_id: str = ""
    stage: Stage = "unknown"
    before: Stage = "unknown"
    method: str = ""
    total: int = 0
    agreed: int = -1
    charges: int = 0
    charged: int = 0
    given_back: int = 0
    owed: int = 0
    held: bool = False
    left: bool = False
    parcel: bool = False
    sold_on: str = ""
    revenue: int = 0
    payment_id: str = ""


def note(account: Account, event: Message) -> Account:
    """The account after one more event of any log."""
    changed = _of_order(account, event)
    return msgspec.structs.replace(account, **changed) if changed else account


def _of_order(a: Account, event: Message) -> dict[str, object]:
    match event:
        case OrderPlaced():
            return {"stage": "under_way", "bucket_id": event.bucket_id, "method": event.payment_method, "total": event.total.amount}
        case OrderConfirmed():
            return {"stage": "sold", "sold_on": stamp(event.placed_at)[:10], "revenue": event.total.amount}
        case OrderShipped():
            return {"before": "sold"} if a.stage == "under_way" else {"stage": "sold"}
        case OrderDelivered():
            return {"before": "delivered"} if a.stage == "under_way" else {"stage": "delivered"}
        case OrderRejected():
            return {"stage": "ended"}
        case OrderCancelled():
            return {"stage": "ended", "sold_on": "", "revenue": 0}
        case CancellationRequested() | ReturnRequested():
            return {"stage": "under_way", "before": a.stage}
        case CancellationFailed():
            return {"stage": a.before}
        case ReturnFailed():
            return {"stage": "delivered"}
        case OrderReturned(whole=True):
            return {"stage": "returned", "owed": a.owed + event.refund.amount, "sold_on": "", "revenue": 0}
        case OrderReturned():
            return {"stage": "delivered", "owed": a.owed + event.refund.amount, "revenue": a.revenue - event.refund.amount}
        case _:
            return _of_others(a, event)


def _of_others(a: Account, event: Message) -> dict[str, object]:
    match event:
        case LedgerPosted(kind="payment"):
            return {"charges": a.charges + 1, "charged": a.charged + _amount(event), "payment_id": event.reference}
        case LedgerPosted(kind="refund"):
            return {"given_back": a.given_back + _amount(event), "payment_id": event.reference.partition("/")[0]}
        case PaymentProcessed():
            return {"agreed": event.amount.amount, "payment_id": event.payment_id}
        case ItemsReserved(again=False):
            return {"held": True}
        case ItemsReleased() | ReservationExpired():
            return {"held": False}
        case ItemsShipped():
            return {"held": False, "left": True}
        case ShippingScheduled() | DeliveryShipped():
            return {"parcel": True}
        case ShippingCancelled():
            return {"parcel": False}
        case _:
            return {}


def doubts(account: Account) -> Iterator[tuple[str, Fault]]:
    """What does not fit, as (invariant, fault). While a saga is at work on the order, only what may never be. A sale that is not delivered yet can be
    cancelled, which undoes all of it, and gives one charge back."""
    remedy: Remedy = "cancel" if account.stage == "sold" and account.charges < 2 else "ask"
    for name, said in _faults(account):
        yield name, Fault(sentence=f"order {account.order_id} {said}", about="order", id=account.order_id, remedy=remedy)


def _faults(a: Account) -> Iterator[tuple[str, str]]:
    kept = a.charged - a.given_back
    if a.charges > 1:
        yield PAID_ONCE, f"was charged {a.charges} times"
    if kept < 0:
        yield PAID_BACK, f"was given back {a.given_back}, but only {a.charged} had been charged"
    if a.stage == "unknown":
        yield from _faults_of_phantom(a, kept)
        return
    if a.charged > a.total:
        yield PAID_ONCE, f"was charged {a.charged}, more than its total of {a.total}"
    if a.stage in ("sold", "delivered"):
        yield from _faults_of_sale(a)
    elif a.stage == "returned" and a.given_back != a.owed:
        yield PAID_BACK, f"was returned for {a.owed}, but {a.given_back} was given back"
    elif a.stage == "ended":
        yield from _faults_of_end(a, kept)


def _faults_of_phantom(a: Account, kept: int) -> Iterator[tuple[str, str]]:
    if kept:
        yield PAID_BACK, f"was never placed, but {kept} was charged for it and not given back"
    if a.held:
        yield HELD, "was never placed, but holds stock"
    if a.parcel:
        yield BOOKED, "was never placed, but a delivery is booked for it"


def _faults_of_sale(a: Account) -> Iterator[tuple[str, str]]:
    at_the_door = a.method == "cash" and a.stage == "sold"
    paid = a.agreed == a.total and a.charged in (0, a.total) if at_the_door else a.charged == a.total
    if not paid:
        yield PAID_ONCE, f"is {a.stage}, but {a.charged} of its total of {a.total} is paid"
    if a.given_back != a.owed:
        yield PAID_BACK, f"was given back {a.given_back}, but its returns are worth {a.owed}"
    if not (a.held or a.left):
        yield HELD, f"is {a.stage}, but no stock is held or was taken for it"
    if not a.parcel:
        yield BOOKED, f"is {a.stage}, but has no delivery"


def _faults_of_end(a: Account, kept: int) -> Iterator[tuple[str, str]]:
    if kept > 0:
        yield PAID_BACK, f"came to nothing, but {kept} that was charged for it is not given back"
    if a.held:
        yield HELD, "came to nothing, but still holds stock"
    if a.parcel:
        yield BOOKED, "came to nothing, but a delivery is still booked for it"


def sale(account: Account) -> tuple[str, int]:
    """The day and revenue that an account adds to the sales reports; an empty day when it is no sale."""
    return account.sold_on, account.revenue


def _amount(posted: LedgerPosted) -> int:
    return sum(leg.amount for leg in posted.postings if leg.amount > 0)
