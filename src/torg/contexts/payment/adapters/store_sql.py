"""Payments over SQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from torg.contexts.payment.contracts import LedgerPosted, PaymentPage
from torg.contexts.payment.model import Errand, Outcome, Payment, Refund
from torg.contexts.payment.ports import Ledger, TriedErrand
from torg.kit.errors import ConcurrentChange
from torg.kit.pages import after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.sql.port import A_MOMENT
from torg.kit.store import Transaction
from torg.kit.values import Clock, Money, moment, stamp

FIRST_CHECK, SLOWEST_CHECK = timedelta(seconds=3), timedelta(seconds=30)  # how long a webhook may take before the acquirer is asked
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.2), timedelta(seconds=10)  # between tries of an errand

_INSERT = """insert into payment (id, order_id, user_id, method, currency, amount, captured, refunding, refunded, status, closed, reason,
        acquirer_id, redirect_url, check_at, version, created_at, updated_at)
    values (:id, :order_id, :user_id, :method, :currency, :amount, :captured, :refunding, :refunded, :status, :closed, :reason,
        :acquirer_id, :redirect_url, :check_at, :version, :created_at, :updated_at)
    on conflict do nothing"""
_UPDATE = """update payment set captured = :captured, refunding = :refunding, refunded = :refunded, status = :status, closed = :closed,
        reason = :reason, acquirer_id = :acquirer_id, redirect_url = :redirect_url, check_at = :check_at, version = :version + 1,
        updated_at = :updated_at where id = :id and version = :version"""


class SqlPaymentStore:
    """Implements PaymentStore. `on_errand` is called after a commit that filed one."""

    def __init__(self, database: Database, clock: Clock, ledger: Ledger, on_errand: Callable[[], None]) -> None:
        self._database, self._clock, self._ledger, self._on_errand = database, clock, ledger, on_errand

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
        at, id = after_time(cursor)
        wanted = where(
            ("user_id <> ''", True),  # what was undone before it was asked for is nobody's payment
            ("user_id = :user_id", user_id),
            ("order_id = :order_id", order_id),
            ("(created_at, id) < (:at, :id)", cursor),
        )
        rows = await self._database.relaxed(0 if user_id else A_MOMENT).all(
            f"select * from payment where {wanted} order by created_at desc, id desc limit :limit",
            user_id=user_id, order_id=order_id, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        views, more = cut(rows, limit, lambda row: _read(row).view(), "created_at", "id")
        return PaymentPage(tuple(views), more)

    async def errands_due(self, now: datetime, limit: int) -> Sequence[TriedErrand]:
        rows = await self._database.all(
            "select * from errand where next_at <= :now or next_at > :latest order by next_at, id limit :limit",
            now=stamp(now), latest=stamp(now + LONGEST_PAUSE), limit=limit,
        )  # fmt: skip
        return [TriedErrand(Errand(row["payment_id"], row["action"], row["amount"], row["refund_id"], row["return_url"]), row["attempts"]) for row in rows]

    async def has_errands(self, payment_id: str) -> bool:
        return await self._database.value("select 1 from errand where payment_id = :id limit 1", id=payment_id) is not None

    async def finish(self, tx: Transaction, errand: Errand) -> bool:
        return bool(await tx.execute("delete from errand where id = :id", id=errand.id))

    async def postpone(self, tx: Transaction, tried: TriedErrand, error: str) -> None:
        pause = min(FIRST_PAUSE * 2.0 ** min(tried.attempts, 20), LONGEST_PAUSE)
        await tx.execute(
            "update errand set attempts = :attempts, next_at = :next_at, error = :error where id = :id",
            id=tried.errand.id, attempts=tried.attempts + 1, next_at=stamp(self._clock() + pause), error=error,
        )  # fmt: skip

    async def checks_due(self, now: datetime, limit: int) -> Sequence[Payment]:
        rows = await self._database.all(
            "select * from payment where check_at <= :now or check_at > :latest order by check_at limit :limit",
            now=stamp(now), latest=stamp(now + SLOWEST_CHECK), limit=limit,
        )  # fmt: skip
        return [_read(row) for row in rows]

    async def check_again(self, tx: Transaction, payment: Payment, soon: bool = False) -> None:
        now = self._clock()
        pause = min(max(FIRST_CHECK, (now - payment.created_at) / 4), SLOWEST_CHECK)
        await tx.execute(
            "update payment set check_at = :at where id = :id and check_at is not null", id=payment.id, at=stamp(now if soon else now + pause)
        )  # fmt: skip
        if soon:
            tx.sql.after_commit(self._on_errand)

    async def note_webhook(self, tx: Transaction, acquirer: str, notice_id: str) -> bool:
        statement = "insert into webhook (acquirer, id, at) values (:acquirer, :id, :at) on conflict do nothing"
        return bool(await tx.execute(statement, acquirer=acquirer, id=notice_id, at=stamp(self._clock())))

    async def forget_webhooks(self, tx: Transaction, before: datetime) -> None:
        await tx.execute("delete from webhook where at < :before", before=stamp(before))

    def _changing(self, payment: Payment) -> dict[str, object]:
        now = self._clock()
        waits = payment.acquirer_id and payment.status in ("pending", "authorized")
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
                """insert into errand (id, payment_id, action, refund_id, amount, return_url, attempts, next_at, error)
                   values (:id, :payment_id, :action, :refund_id, :amount, :return_url, 0, :now, '') on conflict do nothing""",
                id=errand.id, payment_id=errand.payment_id, action=errand.action, refund_id=errand.refund_id, amount=errand.amount,
                return_url=errand.return_url, now=stamp(self._clock()),
            )  # fmt: skip
            tx.sql.after_commit(self._on_errand)


def _payment(row: Row | None) -> Payment | None:
    return _read(row) if row else None


def _read(row: Row) -> Payment:
    return Payment(
        id=row["id"], order_id=row["order_id"], user_id=row["user_id"], method=row["method"], amount=Money(row["amount"], row["currency"]),
        created_at=moment(row["created_at"]), status=row["status"], captured=row["captured"], refunding=row["refunding"], refunded=row["refunded"],
        closed=bool(row["closed"]), reason=row["reason"], acquirer_id=row["acquirer_id"], redirect_url=row["redirect_url"], version=row["version"],
    )  # fmt: skip
