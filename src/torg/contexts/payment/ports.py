"""What payments need around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torg.contexts.payment.contracts import LedgerPosted, PaymentPage, WalletEntry
from torg.contexts.payment.model import Outcome, Payment, Refund
from torg.kit.deps import Deps
from torg.kit.store import Transaction


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

    async def entries(self, account: str, currency: str, cursor: str, limit: int) -> tuple[Sequence[WalletEntry], str | None]:
        """An account's movements, newest first. Raises Invalid for a cursor of another make."""
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

    async def page(self, user_id: str, order_id: str, cursor: str, limit: int) -> PaymentPage:
        """Newest first; an empty user_id means everybody's, an empty order_id all orders. Raises Invalid for a cursor of another make."""
        ...


@dataclass(frozen=True)
class PaymentDeps(Deps):
    """What the payment handlers are given."""

    payments: PaymentStore
    ledger: Ledger
