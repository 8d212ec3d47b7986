"""Payments over SQL."""

from __future__ import annotations

from datetime import timedelta

from torg.contexts.payment.contracts import LedgerPosted, PaymentPage
from torg.contexts.payment.model import Outcome, Payment, Refund
from torg.contexts.payment.ports import Ledger
from torg.kit.errors import ConcurrentChange, FieldError, Invalid
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import Clock, Money, moment, stamp

FIRST_CHECK = timedelta(seconds=3)  # how long a webhook may take before the acquirer is asked

_INSERT = """insert into payment (id, order_id, user_id, method, currency, amount, captured, refunding, refunded, status, closed, reason,
        acquirer_id, redirect_url, check_at, version, created_at, updated_at)
    values (:id, :order_id, :user_id, :method, :currency, :amount, :captured, :refunding, :refunded, :status, :closed, :reason,
        :acquirer_id, :redirect_url, :check_at, :version, :created_at, :updated_at)
    on conflict do nothing"""
_UPDATE = """update payment set captured = :captured, refunding = :refunding, refunded = :refunded, status = :status, closed = :closed,
        reason = :reason, acquirer_id = :acquirer_id, redirect_url = :redirect_url, check_at = :check_at, version = :version + 1,
        updated_at = :updated_at where id = :id and version = :version"""


class SqlPaymentStore:
    """Implements PaymentStore."""

    def __init__(self, database: Database, clock: Clock, ledger: Ledger) -> None:
        self._database, self._clock, self._ledger = database, clock, ledger

    async def add(self, tx: Transaction, payment: Payment) -> bool:
        fixed = {
            "order_id": payment.order_id,
            "user_id": payment.user_id,
            "method": payment.method,
            "currency": payment.amount.currency,
            "amount": payment.amount.amount,
            "created_at": stamp(payment.created_at),
        }
        return bool(await tx.execute(_INSERT, **fixed, **self._changing(payment)))

    async def of_order(self, tx: Transaction, order_id: str) -> Payment | None:
        return _payment(await tx.one("select * from payment where order_id = :order_id", order_id=order_id))

    async def load(self, tx: Transaction, payment_id: str) -> Payment | None:
        return _payment(await tx.one("select * from payment where id = :id", id=payment_id))

    async def refund(self, tx: Transaction, payment_id: str, refund_id: str) -> Refund | None:
        row = await tx.one("select * from refund where payment_id = :payment_id and id = :id", payment_id=payment_id, id=refund_id)
        return Refund(row["id"], row["amount"], bool(row["done"])) if row else None

    async def file(self, tx: Transaction, outcome: Outcome, added: bool = False) -> bool:
        for event in outcome.events:
            if isinstance(event, LedgerPosted) and not await self._ledger.post(tx, event):
                return False
        payment = outcome.payment
        if not added and not await tx.execute(_UPDATE, **self._changing(payment)):
            raise ConcurrentChange("payment.changed", f"payment {payment.id} changed meanwhile; try again")
        if outcome.refund:
            await self._file_refund(tx, payment.id, outcome.refund)
        await self._file_errands(tx, outcome)
        if outcome.events:
            await tx.append(payment.id, outcome.events)
        return True

    async def find(self, payment_id: str) -> Payment | None:
        return _payment(await self._database.one("select * from payment where id = :id", id=payment_id))

    async def page(self, user_id: str, order_id: str, cursor: str, limit: int) -> PaymentPage:
        at, slash, id = cursor.partition("/")
        if cursor and not slash:
            raise Invalid.fields(FieldError("cursor", "invalid", "pass next_cursor of the page before, unchanged"))
        conditions = [
            ("user_id <> ''", True),  # what was undone before it was asked for is nobody's payment
            ("user_id = :user_id", user_id),
            ("order_id = :order_id", order_id),
            ("(created_at, id) < (:at, :cursor_id)", cursor),
        ]
        where = " and ".join(condition for condition, given in conditions if given)
        rows = await self._database.all(
            f"select * from payment where {where} order by created_at desc, id desc limit :limit",
            user_id=user_id, order_id=order_id, at=at, cursor_id=id, limit=limit + 1,
        )  # fmt: skip
        shown = rows[:limit]
        more = f"{shown[-1]['created_at']}/{shown[-1]['id']}" if len(rows) > limit else None
        return PaymentPage(tuple(_read(row).view() for row in shown), more)

    def _changing(self, payment: Payment) -> dict[str, object]:
        now = self._clock()
        waits = payment.method == "card" and payment.status in ("pending", "authorized")
        return {
            "id": payment.id,
            "captured": payment.captured,
            "refunding": payment.refunding,
            "refunded": payment.refunded,
            "status": payment.status,
            "closed": int(payment.closed),
            "reason": payment.reason,
            "acquirer_id": payment.acquirer_id,
            "redirect_url": payment.redirect_url,
            "check_at": stamp(now + FIRST_CHECK) if waits else None,
            "version": payment.version,
            "updated_at": stamp(now),
        }

    async def _file_refund(self, tx: Transaction, payment_id: str, refund: Refund) -> None:
        await tx.execute(
            """insert into refund (payment_id, id, amount, done, at) values (:payment_id, :id, :amount, :done, :at)
               on conflict (payment_id, id) do update set done = excluded.done, at = excluded.at""",
            payment_id=payment_id, id=refund.id, amount=refund.amount, done=int(refund.done), at=stamp(self._clock()),
        )  # fmt: skip

    async def _file_errands(self, tx: Transaction, outcome: Outcome) -> None:
        for errand in outcome.errands:
            await tx.execute(
                """insert into errand (id, payment_id, action, refund_id, amount, attempts, next_at, error)
                   values (:id, :payment_id, :action, :refund_id, :amount, 0, :now, '') on conflict do nothing""",
                id=errand.id, payment_id=errand.payment_id, action=errand.action, refund_id=errand.refund_id, amount=errand.amount, now=stamp(self._clock()),
            )  # fmt: skip


def _payment(row: Row | None) -> Payment | None:
    return _read(row) if row else None


def _read(row: Row) -> Payment:
    return Payment(
        id=row["id"], order_id=row["order_id"], user_id=row["user_id"], method=row["method"], amount=Money(row["amount"], row["currency"]),
        created_at=moment(row["created_at"]), status=row["status"], captured=row["captured"], refunding=row["refunding"], refunded=row["refunded"],
        closed=bool(row["closed"]), reason=row["reason"], acquirer_id=row["acquirer_id"], redirect_url=row["redirect_url"], version=row["version"],
    )  # fmt: skip
