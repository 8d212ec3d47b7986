"""Deliveries over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from torg.contexts.inventory.contracts import Units
from torg.contexts.shipping.contracts import DeliveryStatus
from torg.contexts.shipping.model.delivery import Delivery, Status
from torg.contexts.user.contracts import Address
from torg.kit.errors import NotFound
from torg.kit.messages import encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

_BOOK = """insert into delivery (id, order_id, return_id, user_id, status, confirmed, method, source, destination, pickup_point_id, lines,
        weight_grams, tracking_number, shipment_date, delivery_date, note, created_at, updated_at)
    values (:id, :order_id, :return_id, :user_id, :status, :confirmed, :method, :source, :destination, :pickup_point_id, :lines,
        :weight_grams, :tracking_number, :shipment_date, :delivery_date, :note, :created_at, :created_at)
    on conflict do nothing"""

_address = msgspec.json.Decoder(Address).decode
_units = msgspec.json.Decoder(tuple[Units, ...]).decode


class SqlDeliveries:
    """Implements Deliveries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def book(self, tx: Transaction, delivery: Delivery) -> bool:
        filed = await tx.execute(
            _BOOK,
            id=delivery.id, order_id=delivery.order_id, return_id=delivery.return_id, user_id=delivery.user_id, status=delivery.status,
            confirmed=int(delivery.confirmed), method=delivery.method, source=delivery.source, destination=encode(delivery.destination).decode(),
            pickup_point_id=delivery.pickup_point_id, lines=encode(delivery.lines).decode(), weight_grams=delivery.weight_grams,
            tracking_number=delivery.tracking_number, shipment_date=stamp(delivery.shipment_date), delivery_date=stamp(delivery.delivery_date),
            note=delivery.note, created_at=stamp(delivery.created_at),
        )  # fmt: skip
        return filed > 0

    async def of(self, tx: Transaction, order_id: str, return_id: str = "") -> Delivery | None:
        row = await tx.one("select * from delivery where order_id = :order_id and return_id = :return_id", order_id=order_id, return_id=return_id)
        return _delivery(row) if row else None

    async def load(self, tx: Transaction, delivery_id: str) -> Delivery:
        return _found(await tx.one("select * from delivery where id = :id and status <> 'refused'", id=delivery_id), delivery_id)

    async def move(self, tx: Transaction, delivery: Delivery, before: Status) -> bool:
        moved = await tx.execute(
            """update delivery set status = :status, shipment_date = :shipment_date, delivery_date = :delivery_date, updated_at = :at
               where id = :id and status = :before""",
            id=delivery.id, status=delivery.status, shipment_date=stamp(delivery.shipment_date), delivery_date=stamp(delivery.delivery_date),
            at=stamp(delivery.updated_at), before=before,
        )  # fmt: skip
        return moved > 0

    async def confirm(self, tx: Transaction, order_id: str) -> None:
        await tx.execute("update delivery set confirmed = 1 where order_id = :order_id and return_id = ''", order_id=order_id)

    async def find(self, delivery_id: str) -> Delivery:
        return _found(await self._database.one("select * from delivery where id = :id and status <> 'refused'", id=delivery_id), delivery_id)

    async def page(self, user_id: str, order_id: str, status: DeliveryStatus | None, cursor: str, limit: int) -> Page[Delivery]:
        at, id = after_time(cursor)
        wanted = where(
            ("user_id = :user_id", user_id),
            ("order_id = :order_id", order_id),
            ("status = :status", status),
            ("(created_at, id) < (:at, :id)", cursor),
        )
        rows = await self._database.all(
            f"select * from delivery where status <> 'refused' and {wanted} order by created_at desc, id desc limit :limit",
            user_id=user_id, order_id=order_id, status=status, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _delivery, "created_at", "id")

    async def waiting(self, before: datetime, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            """select id from delivery where confirmed = 1 and status in ('scheduled', 'shipped', 'in_transit') and updated_at <= :before
               order by updated_at limit :limit""",
            before=stamp(before), limit=limit,
        )  # fmt: skip
        return [row["id"] for row in rows]


def _found(row: Row | None, delivery_id: str) -> Delivery:
    if row is None:
        raise NotFound("delivery.not_found", f"there is no delivery {delivery_id}")
    return _delivery(row)


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=row["id"], order_id=row["order_id"], return_id=row["return_id"], user_id=row["user_id"], status=row["status"],
        confirmed=bool(row["confirmed"]), method=row["method"], source=row["source"], destination=_address(row["destination"]),
        pickup_point_id=row["pickup_point_id"], lines=_units(row["lines"]), weight_grams=row["weight_grams"],
        tracking_number=row["tracking_number"], shipment_date=moment(row["shipment_date"]), delivery_date=moment(row["delivery_date"]),
        created_at=moment(row["created_at"]), updated_at=moment(row["updated_at"]), note=row["note"],
    )  # fmt: skip
