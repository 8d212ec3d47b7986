"""The acquirer's books over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from torg.acquirer.charges import Charge
from torg.kit.errors import NotFound
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.port import Reads
from torg.kit.store import Transaction
from torg.kit.values import Clock, Money, moment, stamp


class Books:
    """Every charge there ever was."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def open(self, tx: Transaction, charge: Charge) -> bool:
        """Files a new charge; False when its reference has one already."""
        filed = await tx.execute(
            """insert into charge (id, reference, currency, amount, status, captured, refunded, reason, card, muted, return_url, created_at, updated_at)
               values (:id, :reference, :currency, :amount, :status, 0, 0, '', '', 0, :return_url, :at, :at) on conflict do nothing""",
            id=charge.id, reference=charge.reference, currency=charge.amount.currency, amount=charge.amount.amount, status=charge.status,
            return_url=charge.return_url, at=stamp(charge.created_at),
        )  # fmt: skip
        return bool(filed)

    async def load(self, charge_id: str, reads: Reads | Transaction | None = None) -> Charge:
        """Raises NotFound `charge.not_found`."""
        return _found(await (reads or self._database).one("select * from charge where id = :id", id=charge_id), charge_id)

    async def of_reference(self, reads: Transaction, reference: str) -> Charge:
        """Raises NotFound `charge.not_found`."""
        return _found(await reads.one("select * from charge where reference = :reference", reference=reference), reference)

    async def change(self, tx: Transaction, charge: Charge) -> None:
        await tx.execute(
            """update charge set status = :status, captured = :captured, refunded = :refunded, reason = :reason, card = :card, muted = :muted,
               settle_at = :settle_at, updated_at = :at where id = :id""",
            id=charge.id, status=charge.status, captured=charge.captured, refunded=charge.refunded, reason=charge.reason, card=charge.card,
            muted=int(charge.muted), settle_at=charge.settle_at and stamp(charge.settle_at), at=stamp(self._clock()),
        )  # fmt: skip

    async def note_refund(self, tx: Transaction, charge_id: str, refund_id: str, amount: Money) -> bool:
        """False when this refund was made before."""
        statement = "insert into charge_refund (charge_id, id, amount, at) values (:charge_id, :id, :amount, :at) on conflict do nothing"
        return bool(await tx.execute(statement, charge_id=charge_id, id=refund_id, amount=amount.amount, at=stamp(self._clock())))

    async def to_settle(self, now: datetime) -> Sequence[str]:
        """Charges whose bank is done by now."""
        return [row["id"] for row in await self._database.all("select id from charge where settle_at <= :now limit 100", now=stamp(now))]

    async def page(self, cursor: str, limit: int) -> Page[Charge]:
        """Oldest first."""
        at, id = after_time(cursor)
        rows = await self._database.all(
            "select * from charge where (created_at, id) > (:at, :id) order by created_at, id limit :limit", at=at, id=id, limit=limit + 1
        )
        return cut(rows, limit, _read, "created_at", "id")


def _found(row: Row | None, id: str) -> Charge:
    if row is None:
        raise NotFound("charge.not_found", f"there is no charge {id}")
    return _read(row)


def _read(row: Row) -> Charge:
    return Charge(
        id=row["id"], reference=row["reference"], amount=Money(row["amount"], row["currency"]), return_url=row["return_url"],
        created_at=moment(row["created_at"]), status=row["status"], captured=row["captured"], refunded=row["refunded"], reason=row["reason"],
        card=row["card"], muted=bool(row["muted"]), settle_at=moment(row["settle_at"]) if row["settle_at"] else None,
    )  # fmt: skip
