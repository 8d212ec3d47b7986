"""What must stay true of money, checked against the log, the tables and the acquirer's books. Remembers how far it has come, so that each check
costs what is new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from torg.contexts.payment.contracts import LedgerPosted
from torg.contexts.payment.model import REFUNDS, REVENUE, WALLET, Charge, Payment
from torg.contexts.payment.ports import PaymentDeps, Refused
from torg.kit.errors import Unavailable
from torg.kit.messages import Envelope
from torg.kit.operations import Invariant

T = TypeVar("T")
CHUNK = 500  # log rows between two breaths of the loop
TRIES = 8  # what disagrees is looked at again: it may be in the middle of changing


class SqlPaymentAudit:
    """The money's invariants. `pause` is how many seconds lie between two looks at what disagrees."""

    def __init__(self, deps: PaymentDeps, pause: float = 0.5) -> None:
        self._deps, self._pause = deps, pause
        self._position = 0
        self._sums: dict[tuple[str, str], int] = {}
        self._accounts: set[tuple[str, str]] = set()
        self._payments: set[str] = set()
        self._unbalanced: list[str] = []

    def invariants(self) -> Sequence[Invariant]:
        return (
            Invariant("payment.ledger", "Every ledger transaction sums to zero; wallets equal the fold of the log, and none is below zero", self.ledger),
            Invariant("payment.limits", "Per payment captured ≤ amount and refunded ≤ captured, and the ledger says the same", self.limits),
            Invariant("payment.acquirer", "One captured charge per order in the acquirer's books at most, and both books agree once settled", self.books),
        )

    async def ledger(self) -> list[str]:
        return await self._until_fine(self._ledger)

    async def limits(self) -> list[str]:
        return await self._until_fine(self._limits)

    async def books(self) -> list[str]:
        """Says nothing while the acquirer is away."""
        try:
            return await self._until_fine(self._books)
        except Unavailable:
            return []

    async def _until_fine(self, check: Callable[[], Awaitable[list[str]]]) -> list[str]:
        """What is still wrong after a few looks."""
        found = await check()
        for _ in range(TRIES - 1):
            if not found:
                break
            await asyncio.sleep(self._pause)
            found = await check()
        return found

    # ---------------------------------------------------------------- the ledger

    async def _read_log(self) -> None:
        while rows := await self._deps.store.log.tail(self._position, CHUNK):
            self._take(rows)
            await asyncio.sleep(0)

    def _take(self, rows: Sequence[Envelope]) -> None:
        for row in rows:
            if isinstance(row.message, LedgerPosted):
                self._fold(row.message)
            self._payments.add(row.stream)
        self._position = rows[-1].position

    def _fold(self, posted: LedgerPosted) -> None:
        if sum(leg.amount for leg in posted.postings):
            self._unbalanced.append(f"the postings of {posted.kind} {posted.reference} do not sum to zero")
        for leg in posted.postings:
            account = (leg.account, posted.currency)
            self._sums[account] = self._sums.get(account, 0) + leg.amount
            if leg.account.startswith(WALLET):
                self._accounts.add(account)

    async def _ledger(self) -> list[str]:
        await self._read_log()
        found: list[str] = list(self._unbalanced)
        async for account, currency in _in_breaths(self._accounts):
            fault = await self._wallet_fault(account, currency)
            if fault:
                found.append(fault)
            else:
                self._accounts.discard((account, currency))
        return found

    async def _wallet_fault(self, account: str, currency: str) -> str:
        log_says, database = self._sums[account, currency], self._deps.store.database
        holds = await self._deps.ledger.balance(account, currency)
        statement = "select sum(amount) from entry where account = :account and currency = :currency"
        entries = await database.value(statement, account=account, currency=currency)
        if holds < 0:
            return f"{account} holds {holds} {currency}"
        return "" if holds == log_says == entries else f"{account} holds {holds} {currency}; its entries say {entries}, the log {log_says}"

    # ---------------------------------------------------------------- payments

    async def _limits(self) -> list[str]:
        await self._read_log()
        found: list[str] = []
        async for id in _in_breaths(self._payments):
            payment = await self._deps.payments.find(id)
            fault = await self._payment_fault(payment) if payment else ""
            if fault:
                found.append(fault)
            else:
                self._payments.discard(id)
        return found

    async def _payment_fault(self, payment: Payment) -> str:
        taken = await self._posted(REVENUE, "payment", payment.id, payment.id)
        back = await self._posted(REFUNDS, "refund", f"{payment.id}/", f"{payment.id}/\U0010ffff")
        if not 0 <= payment.captured <= payment.amount.amount or not 0 <= payment.refunded + payment.refunding <= payment.captured:
            return f"payment {payment.id}: of {payment.amount.amount} captured {payment.captured}, refunded {payment.refunded} (+{payment.refunding})"
        if (payment.captured, payment.refunded) != (taken, -back):
            return f"payment {payment.id}: captured {payment.captured}, refunded {payment.refunded}; the ledger says {taken} and {-back}"
        return ""

    async def _posted(self, account: str, kind: str, first: str, last: str) -> int:
        """The sum of an account's entries whose reference lies between two."""
        statement = "select sum(amount) from entry where account = :account and kind = :kind and reference between :first and :last"
        return await self._deps.store.database.value(statement, account=account, kind=kind, first=first, last=last) or 0

    # ---------------------------------------------------------------- both books

    async def _books(self) -> list[str]:
        found, cursor, captured = [], "", set[str]()
        while True:
            charges, cursor = await self._deps.acquirer.books(cursor)
            for charge in charges:
                found += await self._charge_faults(charge, captured)
            if not cursor:
                return found

    async def _charge_faults(self, charge: Charge, captured: set[str]) -> list[str]:
        payment = await self._deps.payments.find(charge.reference)
        if payment is None:
            return [f"charge {charge.id} is in the acquirer's books for a payment {charge.reference} that is unknown here"]
        found = [f"order {payment.order_id} has two captured charges"] if charge.captured and payment.order_id in captured else []
        if charge.captured:
            captured.add(payment.order_id)
        return found if _agree(payment, charge) or await self._unsettled(payment) else [*found, await self._disagreement(payment, charge)]

    async def _unsettled(self, payment: Payment) -> bool:
        return payment.status in ("pending", "authorized") or await self._deps.payments.has_errands(payment.id)

    async def _disagreement(self, payment: Payment, charge: Charge) -> str:
        try:
            charge = await self._deps.acquirer.get(charge.id)
        except Refused as refusal:
            return str(refusal)
        ours, theirs = f"{payment.status}, {payment.captured}, {payment.refunded}", f"{charge.status}, {charge.captured}, {charge.refunded}"
        return f"payment {payment.id} (status, captured, refunded): {ours} here, {theirs} in the acquirer's books"


def _agree(payment: Payment, charge: Charge) -> bool:
    """Of a payment that is over no charge waits for a capture, and nothing is kept."""
    left_over = payment.closed and (charge.status == "authorized" or charge.captured > charge.refunded)
    return not left_over and (payment.captured, payment.refunded) == (charge.captured, charge.refunded)


async def _in_breaths(items: Iterable[T]) -> AsyncIterator[T]:
    """A copy of the items, with a breath for the loop now and then."""
    for number, item in enumerate(list(items), 1):
        yield item
        if number % CHUNK == 0:
            await asyncio.sleep(0)
