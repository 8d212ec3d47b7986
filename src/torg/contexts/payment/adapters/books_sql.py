"""The tables that the log of money becomes, read back and set right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torg.contexts.payment.contracts import LedgerPosted
from torg.contexts.payment.model import WALLET, Payment, Refund
from torg.contexts.payment.ports import Named
from torg.kit.sql import Database
from torg.kit.store import Transaction

_SAME = "kind = :kind and reference = :reference"


class SqlBooks:
    """Implements Books."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, tx: Transaction, named: Named) -> dict[str, int]:
        rows = await tx.all(f"select account, amount from entry where {_SAME}", kind=named[0], reference=named[1])
        return {row["account"]: row["amount"] for row in rows}

    async def enter(self, tx: Transaction, posted: LedgerPosted, at: str) -> None:
        same: dict[str, Any] = {"kind": posted.kind, "reference": posted.reference}
        await tx.execute(f"delete from entry where {_SAME}", **same)
        more = {**same, "currency": posted.currency, "order_id": posted.order_id, "at": at}
        legs = [{"account": leg.account, "amount": leg.amount, **more} for leg in posted.postings]
        await tx.execute_many(
            """insert into entry (account, amount, currency, kind, reference, order_id, at)
               values (:account, :amount, :currency, :kind, :reference, :order_id, :at)""",
            legs,
        )

    async def strike(self, tx: Transaction, named: Named) -> None:
        await tx.execute(f"delete from entry where {_SAME}", kind=named[0], reference=named[1])

    async def entered(self, after: int, limit: int) -> tuple[Sequence[Named], int]:
        rows = await self._database.all("select id, kind, reference from entry where id > :after order by id limit :limit", after=after, limit=limit)
        return list(dict.fromkeys((row["kind"], row["reference"]) for row in rows)), rows[-1]["id"] if rows else 0

    async def wallets(self, after: tuple[str, str], limit: int) -> Sequence[tuple[str, str]]:
        behind = f"(account, currency) > (:account, :currency) and account >= '{WALLET}' and account < '{WALLET}\U0010ffff'"
        rows = await self._database.all(
            f"""select account, currency from (select account, currency from balance where {behind} union select account, currency from entry where {behind})
                as known order by account, currency limit :limit""",
            account=after[0], currency=after[1], limit=limit,
        )  # fmt: skip
        return [(row["account"], row["currency"]) for row in rows]

    async def sum(self, tx: Transaction, account: str, currency: str) -> int:
        statement = "select coalesce(sum(amount), 0) from entry where account = :account and currency = :currency"
        return int(await tx.value(statement, account=account, currency=currency))

    async def set_balance(self, tx: Transaction, account: str, currency: str, amount: int) -> None:
        await tx.execute(
            """insert into balance (account, currency, amount) values (:account, :currency, :amount)
               on conflict (account, currency) do update set amount = excluded.amount""",
            account=account, currency=currency, amount=amount,
        )  # fmt: skip

    async def payments(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._database.all("select id from payment where id > :after order by id limit :limit", after=after, limit=limit)
        return [row["id"] for row in rows]

    async def refunds(self, tx: Transaction, payment_id: str) -> Sequence[Refund]:
        rows = await tx.all("select id, amount, done from refund where payment_id = :id", id=payment_id)
        return [Refund(row["id"], row["amount"], bool(row["done"])) for row in rows]

    async def set_payment(self, tx: Transaction, payment: Payment) -> bool:
        return bool(
            await tx.execute(
                """update payment set captured = :captured, refunding = :refunding, refunded = :refunded, status = :status, version = :version + 1
                   where id = :id and version = :version""",
                id=payment.id, captured=payment.captured, refunding=payment.refunding, refunded=payment.refunded, status=payment.status,
                version=payment.version,
            )
        )  # fmt: skip
