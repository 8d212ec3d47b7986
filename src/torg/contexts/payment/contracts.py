"""Payments as others see them: taking an order's money, giving it back, and what a wallet holds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Limit, Money, Text

Method = Literal["balance", "card", "cash"]
PaymentStatus = Literal["pending", "authorized", "captured", "failed", "refunded", "partially_refunded"]
LARGEST_TOP_UP = 10_000_000  # minor units


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


# ---------------------------------------------------------------- asked by buyers


class PaymentView(msgspec.Struct, frozen=True, kw_only=True):
    """An order's payment as its buyer sees it. `refunded` is what went back so far, `reason` why it failed."""

    id: str
    order_id: str
    amount: Money
    status: PaymentStatus
    method: Method
    created_date: datetime
    refunded: Money
    reason: str | None = None


class PaymentPage(msgspec.Struct, frozen=True):
    items: tuple[PaymentView, ...]
    next_cursor: str | None


@message("payment.list_payments")
class ListPayments(Query[PaymentPage], frozen=True, kw_only=True):
    """The viewer's payments, newest first, or just an order's; support sees everybody's."""

    viewer: Identity
    order_id: str = ""
    cursor: str = ""
    limit: Limit = 24


@message("payment.get_payment")
class GetPayment(Query[PaymentView], frozen=True):
    """Raises NotFound `payment.not_found`, also for somebody else's payment unless support asks."""

    payment_id: str
    viewer: Identity


@message("payment.check_payment")
class CheckPayment(Command[PaymentView], frozen=True):
    """Has the acquirer asked soon how a card payment stands: for a buyer who comes back from its page before its webhook does. Raises NotFound
    `payment.not_found`."""

    payment_id: str
    viewer: Identity


EntryKind = Literal["top_up", "credit", "payment", "refund"]


class WalletEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A movement on a wallet: positive when money came in. `order_id` is what it was for, if for an order."""

    id: str
    amount: Money
    kind: EntryKind
    order_id: str | None
    at: datetime


class Wallet(msgspec.Struct, frozen=True, kw_only=True):
    """What a wallet holds, and its latest movements, newest first."""

    balance: Money
    currency: str
    entries: tuple[WalletEntry, ...]
    next_cursor: str | None


@message("payment.get_wallet")
class GetWallet(Query[Wallet], frozen=True, kw_only=True):
    """The owner's wallet."""

    owner: Identity
    cursor: str = ""
    limit: Limit = 24


def _a_top_up(amount: object, _: datetime) -> str | None:
    fits = isinstance(amount, Money) and 0 < amount.amount <= LARGEST_TOP_UP
    return None if fits else f"a top-up is 1 to {LARGEST_TOP_UP} minor units"


class TopUp(msgspec.Struct, frozen=True, kw_only=True):
    """Money that came into a wallet, and what the wallet holds with it."""

    id: str
    amount: Money
    balance: Money
    created_date: datetime


@message("payment.top_up_wallet")
class TopUpWallet(Command[TopUp], frozen=True, kw_only=True):
    """Puts money into the owner's wallet. There is no bank behind the sandbox: it is credited at once. An amount with a `reference` takes effect
    once. Raises Invalid for an amount out of bounds or in another currency than the shop's."""

    RULES: ClassVar[dict[str, Rule]] = {"amount": _a_top_up}

    owner: Identity
    amount: Money
    reference: Annotated[str, msgspec.Meta(max_length=64)] = ""


@message("payment.credit_wallet")
class CreditWallet(Command[None], frozen=True, kw_only=True):
    """Gives a user money on the shop's own account (goodwill, demonstration data); one `reference` takes effect once."""

    IDEMPOTENT = True

    user_id: str
    amount: Money
    reference: str


# ---------------------------------------------------------------- the ledger


class Posting(msgspec.Struct, frozen=True):
    """One leg of a ledger transaction, in minor units: positive where the account is credited, negative where it is debited."""

    account: str
    amount: int


@message("payment.ledger_posted")
class LedgerPosted(Event, frozen=True, kw_only=True):
    """A ledger transaction: its postings sum to zero. `kind` and `reference` together name it; it is posted once."""

    kind: EntryKind
    reference: str
    currency: str
    postings: tuple[Posting, ...]
    order_id: str = ""


# ---------------------------------------------------------------- asked by operators


@message("payment.rebuild_balances")
class RebuildBalances(Rebuild, frozen=True, kw_only=True):
    """Makes entries, wallets' balances, and what payments have captured and refunded, what the log of money says, while people pay."""


@message("payment.books_mended")
class BooksMended(Mended, frozen=True, kw_only=True):
    """Entries, a balance or a payment were not what the log said, and are now. No money has moved."""


class ChargeView(msgspec.Struct, frozen=True, kw_only=True):
    """A charge in the acquirer's books. `counts` is the one that counts for the payment; `only_one` says why this one can't be given back, empty where it
    can."""

    id: str
    order_id: str
    payment_id: str
    captured: Money
    refunded: Money
    counts: str
    only_one: str


@message("payment.get_charge")
class GetCharge(Query[ChargeView], frozen=True):
    """Raises NotFound `charge.not_found`, `charge.unknown`."""

    charge_id: str


@message("payment.refund_charge")
class RefundCharge(Command[ChargeView], frozen=True, kw_only=True):
    """Gives back, at the acquirer, a charge that an order was charged besides the one that counts; once, however often it is asked for. Raises DomainError
    `charge.counts` where it is the only one; NotFound `charge.not_found`, `charge.unknown`; Forbidden `access.condition` for more than the operator may give
    back at this hour."""

    IDEMPOTENT = True

    charge_id: str
    reason: Text
    operator: Identity


@message("payment.charge_refunded")
class ChargeRefunded(Event, frozen=True, kw_only=True):
    """An order had been charged twice: the charge that does not count was given back. Neither is in the ledger."""

    order_id: str
    payment_id: str
    charge_id: str
    amount: Money
    reason: str
    by: str
