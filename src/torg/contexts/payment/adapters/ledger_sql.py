"""The ledger's read models over SQL."""

from __future__ import annotations

from torg.contexts.payment.contracts import LedgerPosted, Posting, WalletEntry
from torg.contexts.payment.model import WALLET
from torg.kit.errors import ConcurrentChange
from torg.kit.pages import Page, after_number, cut
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import Clock, Money, moment, stamp

# Right on every engine at any isolation: the row is locked by the update, and the condition is looked at again under the lock.
_DEBIT = "update balance set amount = amount - :amount where account = :account and currency = :currency and amount >= :amount"
_CREDIT = """insert into balance (account, currency, amount) values (:account, :currency, :amount)
    on conflict (account, currency) do update set amount = balance.amount + excluded.amount"""
_ENTRY = """insert into entry (account, amount, currency, kind, reference, order_id, at)
    values (:source, :debit, :currency, :kind, :reference, :order_id, :at), (:target, :credit, :currency, :kind, :reference, :order_id, :at)
    on conflict do nothing"""


class SqlLedger:
    """Implements Ledger."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def post(self, tx: Transaction, posted: LedgerPosted) -> bool:
        source, target = posted.postings
        if not await self._move(tx, source, posted.currency):
            return False
        filed = await tx.execute(
            _ENTRY, source=source.account, debit=source.amount, target=target.account, credit=target.amount, currency=posted.currency,
            kind=posted.kind, reference=posted.reference, order_id=posted.order_id, at=stamp(self._clock()),
        )  # fmt: skip
        if filed != len(posted.postings):
            raise ConcurrentChange("ledger.posted", f"{posted.kind} {posted.reference} was posted before")
        return await self._move(tx, target, posted.currency)

    async def posted(self, tx: Transaction, kind: str, reference: str) -> bool:
        found = await tx.value("select 1 from entry where kind = :kind and reference = :reference limit 1", kind=kind, reference=reference)
        return found is not None

    async def balance(self, account: str, currency: str, reads: Transaction | None = None) -> int:
        statement = "select amount from balance where account = :account and currency = :currency"
        return await (reads or self._database).value(statement, account=account, currency=currency) or 0

    async def entries(self, account: str, currency: str, cursor: str, limit: int) -> Page[WalletEntry]:
        before, _ = after_number(cursor)
        rows = await self._database.all(
            """select id, amount, kind, order_id, at from entry where account = :account and currency = :currency and id < :before
               order by id desc limit :limit""",
            account=account, currency=currency, before=before, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: _entry(row, currency), "id")

    async def _move(self, tx: Transaction, leg: Posting, currency: str) -> bool:
        """Changes a wallet's balance; other accounts have none to keep."""
        if not leg.account.startswith(WALLET):
            return True
        statement = _DEBIT if leg.amount < 0 else _CREDIT
        return bool(await tx.execute(statement, account=leg.account, currency=currency, amount=abs(leg.amount)))


def _entry(row: Row, currency: str) -> WalletEntry:
    return WalletEntry(id=str(row["id"]), amount=Money(row["amount"], currency), kind=row["kind"], order_id=row["order_id"] or None, at=moment(row["at"]))
