"""The rules of payments and of the ledger. Each decision gives the payment as it is then, what is told, and what is to be done at the acquirer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from torg.contexts.payment.contracts import (
    EntryKind,
    LedgerPosted,
    Method,
    PaymentCaptured,
    PaymentFailed,
    PaymentProcessed,
    PaymentRedirected,
    PaymentRefunded,
    PaymentStatus,
    PaymentView,
    Posting,
    ProcessPayment,
)
from torg.kit.errors import DomainError
from torg.kit.messages import Event
from torg.kit.values import Money

# ---------------------------------------------------------------- the ledger

WALLET = "wallet:"
ACQUIRER = "acquirer"  # what the acquirer holds for us (debits), or paid out for us (credits)
CASH = "cash_in_transit"  # what couriers have taken at doors
REVENUE = "revenue/orders"
REFUNDS = "refunds"
TOP_UPS = "top_ups"  # what came into wallets from outside
GOODWILL = "goodwill"  # what the shop itself put into wallets


def wallet(user_id: str) -> str:
    """The account of a user's wallet."""
    return WALLET + user_id


def transfer(kind: EntryKind, reference: str, source: str, target: str, amount: Money, order_id: str = "") -> LedgerPosted:
    """A transaction that debits `source` and credits `target`. Raises ValueError unless the amount is positive."""
    if amount.amount <= 0:
        raise ValueError(f"{amount.amount} cannot be posted from {source} to {target}: an amount is positive")
    legs = (Posting(source, -amount.amount), Posting(target, amount.amount))
    return LedgerPosted(kind=kind, reference=reference, currency=amount.currency, postings=legs, order_id=order_id)


def fold(transactions: Iterable[LedgerPosted], balances: dict[tuple[str, str], int] | None = None) -> dict[tuple[str, str], int]:
    """Balances by account and currency, going on from `balances`. Raises ValueError for a transaction that doesn't sum to zero."""
    sums = dict(balances or {})
    for posted in transactions:
        if sum(leg.amount for leg in posted.postings):
            raise ValueError(f"the postings of {posted.kind} {posted.reference} do not sum to zero")
        for leg in posted.postings:
            key = (leg.account, posted.currency)
            sums[key] = sums.get(key, 0) + leg.amount
    return sums


# ---------------------------------------------------------------- payments

Action = Literal["create", "capture", "void", "refund"]
NOT_ENOUGH = "there is not enough money in the wallet: top it up, or choose another way to pay"
LATE = "late"  # names the refund of money that came when it was not wanted any more
UNDONE = "the order was given up before it was paid"


@dataclass(frozen=True)
class Payment:
    """An order's one payment. `captured`, `refunding` (asked of the acquirer) and `refunded` are minor units; `closed` ones want no money any more."""

    id: str
    order_id: str
    user_id: str
    method: Method
    amount: Money
    created_at: datetime
    status: PaymentStatus = "pending"
    captured: int = 0
    refunding: int = 0
    refunded: int = 0
    closed: bool = False
    reason: str = ""
    acquirer_id: str = ""
    redirect_url: str = ""
    version: int = 1

    @property
    def refundable(self) -> int:
        """Minor units that can still be given back."""
        return self.captured - self.refunding - self.refunded

    @property
    def source(self) -> str:
        """The account its money comes from."""
        return {"balance": wallet(self.user_id), "card": ACQUIRER, "cash": CASH}[self.method]

    @property
    def goes_back_to(self) -> str:
        """The account a refund credits: cash goes back into the wallet."""
        return ACQUIRER if self.method == "card" else wallet(self.user_id)

    def money(self, amount: int) -> Money:
        return Money(amount, self.amount.currency)

    def part(self, amount: Money) -> int:
        """Minor units of an amount in this payment's currency. Raises ValueError for another currency."""
        return (amount - self.money(0)).amount

    def view(self) -> PaymentView:
        return PaymentView(
            id=self.id, order_id=self.order_id, amount=self.amount, status=self.status, method=self.method, created_date=self.created_at,
            refunded=self.money(self.refunded), reason=self.reason or None,
        )  # fmt: skip


@dataclass(frozen=True)
class Refund:
    """Money on its way back, or back already (`done`). `amount` is minor units."""

    id: str
    amount: int
    done: bool


@dataclass(frozen=True)
class Errand:
    """Something to be done at the acquirer; `amount` is minor units. A page is asked for with the same `return_url` each time."""

    payment_id: str
    action: Action
    amount: int = 0
    refund_id: str = ""
    return_url: str = ""

    @property
    def id(self) -> str:
        """The same for the same thing, so that it is filed once."""
        return f"{self.payment_id}/{self.action}/{self.refund_id}"


ChargeStatus = Literal["open", "authorized", "captured", "failed"]


@dataclass(frozen=True)
class Charge:
    """A payment as the acquirer's books have it. `reference` is our payment's id, `captured` and `refunded` are minor units, `url` is where the
    buyer pays; `open` means that the buyer or the bank has yet to act."""

    id: str
    reference: str
    amount: Money
    status: ChargeStatus
    captured: int
    refunded: int
    reason: str
    url: str


@dataclass(frozen=True)
class Outcome:
    """What a decision brings about."""

    payment: Payment
    events: tuple[Event, ...] = ()
    errands: tuple[Errand, ...] = ()
    refund: Refund | None = None


def begin(cmd: ProcessPayment, id: str, now: datetime, currency: str, return_url: str = "") -> Outcome:
    """A new payment. From the wallet it counts as taken here; whoever posts it finds out whether the wallet holds enough. From the acquirer's page the browser
    goes to `return_url`."""
    payment = Payment(id, cmd.order_id, cmd.user_id, cmd.method, cmd.amount, now)
    if cmd.amount.currency != currency or cmd.amount.amount < 0:
        return fail(replace(payment, amount=Money(0, currency)), f"{cmd.amount.amount} {cmd.amount.currency} cannot be paid here")
    if cmd.method == "balance" or not cmd.amount:
        return _take(payment)
    if cmd.method == "cash":
        return Outcome(payment, (_processed(payment),))
    return Outcome(payment, errands=(Errand(id, "create", cmd.amount.amount, return_url=return_url),))


def tombstone(order_id: str, id: str, currency: str, now: datetime) -> Payment:
    """Stands where a payment was undone before it was asked for, so that asking late is refused."""
    return Payment(id, order_id, "", "balance", Money(0, currency), now, status="failed", closed=True, reason=UNDONE)


def fail(payment: Payment, reason: str) -> Outcome:
    """No money was taken, and none is wanted any more."""
    failed = replace(payment, status="failed", captured=0, closed=True, reason=reason)
    return Outcome(failed, (PaymentFailed(order_id=payment.order_id, payment_id=payment.id, reason=reason),))


def say_again(payment: Payment) -> tuple[Event, ...]:
    """The answer to a ProcessPayment that comes again; none while it is still to be found."""
    if payment.closed or payment.status in ("failed", "refunded"):
        return (PaymentFailed(order_id=payment.order_id, payment_id=payment.id, reason=payment.reason or "the money was given back already"),)
    if payment.captured or not payment.amount or payment.method == "cash":
        return (_processed(payment),)
    return (_redirected(payment),) if payment.redirect_url else ()


def hand_over(payment: Payment) -> Outcome:
    """The parcel is with the buyer: the cash for it was taken at the door."""
    if payment.method != "cash" or payment.status != "pending" or payment.closed:
        return Outcome(payment)
    taken = _take(payment)
    told = PaymentCaptured(order_id=payment.order_id, payment_id=payment.id, amount=payment.amount)
    return replace(taken, events=(*taken.events[:-1], told))


def give_back(payment: Payment, refund_id: str, amount: int | None, reason: str) -> Outcome:
    """Refunds `amount` (minor units; None: all that is left), capped by what was taken and not given back yet. Nothing taken: the attempt is closed."""
    if amount is not None and (taken := hand_over(payment)).events:  # goods come back before we hear that they were delivered and paid at the door
        given = give_back(taken.payment, refund_id, amount, reason)
        return replace(given, events=(*taken.events, *given.events))
    if not payment.captured:
        return _close(payment, refund_id, reason)
    back = min(payment.refundable, max(amount, 0)) if amount is not None else payment.refundable
    if not back:
        return Outcome(payment, (_refunded(payment, refund_id, 0),), refund=Refund(refund_id, 0, done=True))
    asked = replace(payment, refunding=payment.refunding + back)
    if payment.method == "card":
        return Outcome(asked, errands=(Errand(payment.id, "refund", back, refund_id),), refund=Refund(refund_id, back, done=False))
    return settle_refund(asked, Refund(refund_id, back, done=False))


def say_refunded(payment: Payment, refund: Refund) -> tuple[Event, ...]:
    """The answer to a RefundPayment that comes again; none while the money is on its way."""
    return (_refunded(payment, refund.id, refund.amount),) if refund.done else ()


def settle_refund(payment: Payment, refund: Refund) -> Outcome:
    """A refund took effect."""
    refunded = payment.refunded + refund.amount
    status: PaymentStatus = "refunded" if refunded == payment.captured else "partially_refunded"
    paid_back = replace(payment, refunding=payment.refunding - refund.amount, refunded=refunded, status=status)
    posted = transfer("refund", f"{payment.id}/{refund.id}", REFUNDS, payment.goes_back_to, payment.money(refund.amount), payment.order_id)
    return Outcome(paid_back, (posted, _refunded(payment, refund.id, refund.amount)), refund=replace(refund, done=True))


def as_logged(payment: Payment, posted: Iterable[LedgerPosted], refunds: Iterable[Refund]) -> Payment:
    """A payment as its stream of the log has it: what was captured and refunded, and the status that fits."""
    transactions = list(posted)
    sums, done = fold(transactions), {one.reference for one in transactions if one.kind == "refund"}
    captured, refunded = sums.get((REVENUE, payment.amount.currency), 0), -sums.get((REFUNDS, payment.amount.currency), 0)
    refunding = sum(refund.amount for refund in refunds if f"{payment.id}/{refund.id}" not in done and not refund.done)
    status = payment.status
    if captured:
        status = "captured" if not refunded else "refunded" if refunded == captured else "partially_refunded"
    elif payment.amount and status in ("captured", "refunded", "partially_refunded"):
        status = "failed" if payment.closed else "pending"
    return replace(payment, captured=captured, refunding=refunding, refunded=refunded, status=status)


def possible(payment: Payment) -> bool:
    return 0 <= payment.captured <= payment.amount.amount and 0 <= payment.refunded + payment.refunding <= payment.captured


# ---------------------------------------------------------------- cards


def open_page(payment: Payment, charge: Charge) -> Outcome:
    """The acquirer made its page: the buyer is sent there; or, when the payment was given up meanwhile, the page is called off."""
    known = replace(payment, acquirer_id=charge.id)
    if payment.closed:
        return Outcome(known, errands=(Errand(payment.id, "void"),))
    if payment.status != "pending" or charge.status != "open":  # a webhook was faster
        return observe(known, charge)
    shown = replace(known, redirect_url=charge.url)
    return Outcome(shown, (_redirected(shown),))


def observe(payment: Payment, charge: Charge) -> Outcome:
    """What follows from how the acquirer's books stand, whoever told it, however late and however often. Raises DomainError
    `payment.mismatch` for books that are not this payment's."""
    if charge.reference != payment.id or charge.amount != payment.amount or charge.captured not in (0, charge.amount.amount):
        raise DomainError("payment.mismatch", f"the acquirer's charge {charge.id} does not fit payment {payment.id}")
    if payment.captured and payment.acquirer_id not in ("", charge.id):
        return Outcome(payment)  # one charge counts: another is the auditor's
    known = replace(payment, acquirer_id=charge.id)
    if charge.captured and not payment.captured:
        return _take_late(known) if payment.closed else _take(known)
    if charge.status == "authorized" and not payment.captured:
        return _authorize(known)
    if charge.status == "failed" and not payment.closed and not payment.captured:
        return fail(known, charge.reason or "the card was not charged")
    return Outcome(known)


def only_charge(payment: Payment, charge: Charge, own: Charge | None) -> str:
    """Why a charge can't be given back besides its payment: a sentence, empty where another charge has been captured for it."""
    if own is None:
        return f"charge {charge.id} is the only one of order {payment.order_id}: cancel the order, or refund its payment"
    if not (payment.captured and own.captured):
        return f"charge {own.id}, which would count for order {payment.order_id}, has not been captured: this may be the only one"
    return ""


def _authorize(payment: Payment) -> Outcome:
    if payment.closed:
        return Outcome(payment, errands=(Errand(payment.id, "void"),))
    return Outcome(replace(payment, status="authorized"), errands=(Errand(payment.id, "capture", payment.amount.amount),))


def _take_late(payment: Payment) -> Outcome:
    """Money came for a payment that wants none any more: it is booked, and goes back."""
    taken = _take(payment)
    back = give_back(taken.payment, LATE, None, payment.reason)
    return replace(back, events=(*taken.events[:-1], *back.events))


def _take(payment: Payment) -> Outcome:
    taken = replace(payment, status="captured", captured=payment.amount.amount)
    posted = (transfer("payment", payment.id, payment.source, REVENUE, payment.amount, payment.order_id),) if payment.amount else ()
    return Outcome(taken, (*posted, _processed(taken)))


def _close(payment: Payment, refund_id: str, reason: str) -> Outcome:
    """Wants no money any more. While its page is still being made nobody knows what to call off: that is done when it is known."""
    status: PaymentStatus = "refunded" if payment.status == "captured" else "failed"  # an order that cost nothing was paid, and is given back
    closed = replace(payment, status=status, closed=True, reason=payment.reason or reason)
    calls_off = payment.method == "card" and payment.acquirer_id and payment.status != "failed"
    errands = (Errand(payment.id, "void"),) if calls_off else ()
    return Outcome(closed, (_refunded(payment, refund_id, 0),), errands, Refund(refund_id, 0, done=True))


def _processed(payment: Payment) -> PaymentProcessed:
    taken = bool(payment.captured) or not payment.amount
    return PaymentProcessed(order_id=payment.order_id, payment_id=payment.id, amount=payment.amount, method=payment.method, captured=taken)


def _redirected(payment: Payment) -> PaymentRedirected:
    return PaymentRedirected(order_id=payment.order_id, payment_id=payment.id, redirect_url=payment.redirect_url)


def _refunded(payment: Payment, refund_id: str, amount: int) -> PaymentRefunded:
    return PaymentRefunded(order_id=payment.order_id, refund_id=refund_id, payment_id=payment.id, amount=payment.money(amount))
