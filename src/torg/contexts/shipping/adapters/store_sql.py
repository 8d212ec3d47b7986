"""Deliveries over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from torg.contexts.inventory.contracts import Units
from torg.contexts.shipping.contracts import DeliveryStatus, ScheduleShipping
from torg.contexts.shipping.model.delivery import Delivery, Status, without_person
from torg.contexts.user.contracts import Address
from torg.kit.errors import NotFound
from torg.kit.messages import encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import listed, where
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

_BOOK = """insert into delivery (id, order_id, return_id, user_id, status, confirmed, method, source, destination, pickup_point_id, lines,
        weight_grams, tracking_number, shipment_date, delivery_date, note, created_at, updated_at)
    values (:id, :order_id, :return_id, :user_id, :status, :confirmed, :method, :source, :destination, :pickup_point_id, :lines,
        :weight_grams, :tracking_number, :shipment_date, :delivery_date, :note, :created_at, :created_at)
    on conflict do nothing"""

UNDER_WAY = "o.status in ('scheduled', 'shipped', 'in_transit') and (o.return_id = '' or o.created_at > :lost)"

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

    async def find_all(self, delivery_ids: Sequence[str]) -> Sequence[Delivery]:
        names, wanted = listed(delivery_ids)
        return [_delivery(row) for row in await self._database.all(f"select * from delivery where id in ({names}) and status <> 'refused'", **wanted)]

    async def page(self, user_id: str, order_id: str, status: DeliveryStatus | None, cursor: str, limit: int) -> Page[Delivery]:
        at, id = after_time(cursor)
        wanted = where(
            ("user_id = :user_id", user_id),
            ("order_id = :order_id", order_id),
            ("status = :status", status),
            ("(created_at, id) < (:at, :id)", cursor),
        )
        rows = await self._database.relaxed(0).all(
            f"select * from delivery where status <> 'refused' and {wanted} order by created_at desc, id desc limit :limit",
            user_id=user_id, order_id=order_id, status=status, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _delivery, "created_at", "id")

    async def erase_later(self, tx: Transaction, user_id: str) -> None:
        await tx.execute(
            "insert into erasure (user_id, at) values (:user_id, :now) on conflict (user_id) do update set at = excluded.at",
            user_id=user_id, now=stamp(self._clock()),
        )  # fmt: skip

    async def erasable(self, lost: datetime, limit: int) -> Sequence[Delivery]:
        rows = await self._database.all(
            f"""select d.* from erasure e join delivery d on d.user_id = e.user_id where d.erased = 0
                and not exists (select 1 from delivery o where o.order_id = d.order_id and {UNDER_WAY}) order by d.user_id, d.id limit :limit""",
            lost=stamp(lost), limit=limit,
        )  # fmt: skip
        return [_delivery(row) for row in rows]

    async def erase(self, tx: Transaction, delivery: Delivery) -> None:
        await tx.execute(
            "update delivery set destination = :destination, pickup_point_id = :point, erased = 1 where id = :id",
            id=delivery.id, destination=encode(delivery.destination).decode(), point=delivery.pickup_point_id,
        )  # fmt: skip
        await self.erase_later(tx, delivery.user_id)

    async def erase_failed(self, lost: datetime) -> None:
        for row in await self._database.all("select consumer, id, envelope from failed_message where name = :name and dead = 1", name=ScheduleShipping.NAME):
            kept = msgspec.json.decode(row["envelope"])
            booking = msgspec.convert(kept["data"], ScheduleShipping)
            if booking != without_person(booking) and await self._has_ended(booking, lost):
                envelope = encode({**kept, "data": without_person(booking)}).decode()
                async with self._database.begin() as tx:
                    await tx.execute(
                        "update failed_message set envelope = :envelope where consumer = :consumer and id = :id",
                        envelope=envelope, consumer=row["consumer"], id=row["id"],
                    )  # fmt: skip

    async def _has_ended(self, booking: ScheduleShipping, lost: datetime) -> bool:
        """An erased person's order that is not to be delivered any more."""
        found = await self._database.value(
            f"""select 1 from erasure e where e.user_id = :user_id and exists (select 1 from delivery where order_id = :order_id)
                and not exists (select 1 from delivery o where o.order_id = :order_id and {UNDER_WAY})""",
            user_id=booking.user_id, order_id=booking.order_id, lost=stamp(lost),
        )  # fmt: skip
        return found is not None

    async def forget_erased(self, before: datetime) -> None:
        async with self._database.begin() as tx:
            await tx.execute(
                "delete from erasure where at < :before and not exists (select 1 from delivery d where d.user_id = erasure.user_id and d.erased = 0)",
                before=stamp(before),
            )  # fmt: skip

    async def waiting(self, before: datetime, now: datetime, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            """select id from delivery where confirmed = 1 and status in ('scheduled', 'shipped', 'in_transit')
               and (updated_at <= :before or updated_at > :now) order by updated_at limit :limit""",
            before=stamp(before), now=stamp(now), limit=limit,
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
