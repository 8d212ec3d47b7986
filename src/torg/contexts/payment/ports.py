"""What payments need around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.payment.contracts import EntryKind, LedgerPosted, PaymentPage, WalletEntry
from torg.contexts.payment.model import Charge, Errand, Outcome, Payment, Refund
from torg.kit.deps import Deps
from torg.kit.pages import Page
from torg.kit.store import Transaction
from torg.kit.tasks import Bell
from torg.kit.values import Money


class Refused(Exception):
    """The acquirer will not do it, however often it is asked. `code` is its own."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Notice:
    """What a verified webhook tells; `id` is the same when it comes again."""

    id: str
    charge: Charge


class Acquirer(Protocol):
    """Takes cards on its own page. Everything may be asked again: it takes effect once. Raises Unavailable when it doesn't answer, or not yet."""

    name: str

    async def create_session(self, payment_id: str, amount: Money, return_url: str) -> Charge:
        """Makes a page on which the buyer pays, and from which the browser goes to `return_url`. Raises Refused."""
        ...

    async def get(self, charge_id: str) -> Charge:
        """Raises Refused for a charge that is not in its books."""
        ...

    async def capture(self, charge_id: str) -> Charge:
        """Takes what was authorized; or how the charge stands, when there is nothing to take."""
        ...

    async def void(self, charge_id: str) -> Charge:
        """Calls the charge off; or how it stands, when the money was taken already."""
        ...

    async def refund(self, charge_id: str, refund_id: str, amount: Money) -> Charge:
        """Gives money back. Raises Refused for more than is left."""
        ...

    async def books(self, cursor: str) -> tuple[Sequence[Charge], str]:
        """A page of all charges, and the cursor of the next, empty behind the last."""
        ...

    def read_notice(self, signature: str, body: bytes, now: datetime) -> Notice:
        """Reads a webhook. Raises Unauthenticated unless the acquirer signed it within the last five minutes, Malformed for what it can't read."""
        ...


@dataclass(frozen=True)
class TriedErrand:
    """An errand with the tries it has had."""

    errand: Errand
    attempts: int


class Ledger(Protocol):
    """The read models of the ledger: balances that may not fall below zero, and entries."""

    async def post(self, tx: Transaction, posted: LedgerPosted) -> bool:
        """Files a transaction's entries; False, and nothing filed, when a wallet doesn't hold enough. Raises ConcurrentChange when it was posted before."""
        ...

    async def posted(self, tx: Transaction, kind: str, reference: str) -> bool:
        """Whether a transaction of this kind and reference was posted before."""
        ...

    async def balance(self, account: str, currency: str, reads: Transaction | None = None) -> int:
        """What a wallet's account holds, in minor units; pass the transaction to see what it did itself."""
        ...

    async def entries(self, account: str, currency: str, cursor: str, limit: int) -> Page[WalletEntry]:
        """An account's movements, newest first."""
        ...


class PaymentStore(Protocol):
    """Payments, one for each order, with their refunds and what is to be done about them at the acquirer."""

    async def add(self, tx: Transaction, payment: Payment) -> bool:
        """Files a new payment; False when its order has one already."""
        ...

    async def of_order(self, tx: Transaction, order_id: str) -> Payment | None: ...

    async def load(self, tx: Transaction, payment_id: str) -> Payment | None: ...

    async def refund(self, tx: Transaction, payment_id: str, refund_id: str) -> Refund | None: ...

    async def file(self, tx: Transaction, outcome: Outcome, added: bool = False) -> bool:
        """Files what a decision brought about: the payment (unless it was just added), its refund, errands, ledger transactions, and the events. False,
        and nothing filed, when a wallet doesn't hold enough. Raises ConcurrentChange when the payment changed meanwhile."""
        ...

    async def find(self, payment_id: str) -> Payment | None:
        """As committed; for reading only."""
        ...

    async def errands_due(self, now: datetime, limit: int) -> Sequence[TriedErrand]:
        """What is to be done at the acquirer by now; or later than any pause would have it: then the clock was set back."""
        ...

    async def has_errands(self, payment_id: str) -> bool:
        """Whether something is still to be done about a payment."""
        ...

    async def finish(self, tx: Transaction, errand: Errand) -> bool:
        """Takes an errand off the list, in the commit of its outcome; False when somebody else did."""
        ...

    async def postpone(self, tx: Transaction, tried: TriedErrand, error: str) -> None:
        """Has an errand tried again later, each time after a longer pause."""
        ...

    async def checks_due(self, now: datetime, limit: int) -> Sequence[Payment]:
        """Card payments of which too little has been heard."""
        ...

    async def check_again(self, tx: Transaction, payment: Payment, soon: bool = False) -> None:
        """Sets when to ask the acquirer next: the older the payment, the later; or `soon`."""
        ...

    async def note_webhook(self, tx: Transaction, acquirer: str, notice_id: str) -> bool:
        """False when this webhook was taken before."""
        ...

    async def forget_webhooks(self, tx: Transaction, before: datetime) -> None:
        """Drops ids of webhooks that are too old to be taken again."""
        ...

    async def page(self, user_id: str, order_id: str, cursor: str, limit: int) -> PaymentPage:
        """Newest first; an empty user_id means everybody's, an empty order_id all orders. Raises Invalid for a cursor of another make."""
        ...


Named = tuple[EntryKind, str]
"""The kind and reference that name a ledger transaction."""


class Books(Protocol):
    """The tables that the log of money becomes, read back and set right."""

    async def entries(self, tx: Transaction, named: Named) -> dict[str, int]:
        """The entries of a ledger transaction, by account."""
        ...

    async def enter(self, tx: Transaction, posted: LedgerPosted, at: str) -> None:
        """Has a ledger transaction's entries be what was posted, and no others."""
        ...

    async def strike(self, tx: Transaction, named: Named) -> None:
        """Takes entries out that were never posted."""
        ...

    async def entered(self, after: int, limit: int) -> tuple[Sequence[Named], int]:
        """The ledger transactions of so many entries behind one, and the last of those; 0 where there is none."""
        ...

    async def wallets(self, after: tuple[str, str], limit: int) -> Sequence[tuple[str, str]]:
        """(account, currency) of so many wallets behind one that have a balance or an entry, in their order."""
        ...

    async def sum(self, tx: Transaction, account: str, currency: str) -> int:
        """Of an account's entries."""
        ...

    async def set_balance(self, tx: Transaction, account: str, currency: str, amount: int) -> None: ...

    async def payments(self, after: str, limit: int) -> Sequence[str]:
        """So many payments behind one, in their order."""
        ...

    async def refunds(self, tx: Transaction, payment_id: str) -> Sequence[Refund]: ...

    async def set_payment(self, tx: Transaction, payment: Payment) -> bool:
        """Sets a payment's figures and status; False when it changed meanwhile."""
        ...


@dataclass(frozen=True)
class PaymentDeps(Deps):
    """What the payment handlers are given. `bell` wakes the job that goes to the acquirer; `shop_url` is where browsers find the shop."""

    payments: PaymentStore
    ledger: Ledger
    books: Books
    acquirer: Acquirer
    bell: Bell
    shop_url: str

    def return_url(self, order_id: str) -> str:
        """Where the browser goes from the acquirer's page."""
        return f"{self.shop_url}/orders/{order_id}"
