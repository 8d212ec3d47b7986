"""The way of a parcel: one step after the other, and what each tells the shop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec

from torg.contexts.inventory.contracts import Units
from torg.contexts.shipping import contracts as c
from torg.contexts.shipping.model.tariffs import HANDLING, obstacle, travel_time
from torg.contexts.user.contracts import Address
from torg.kit.errors import DomainError
from torg.kit.messages import Envelope, Event

Status = c.DeliveryStatus | Literal["refused"]
"""A refused one is no delivery: it remembers that there is to be none."""

CALLED_OFF = "it was called off"
NOT_DELIVERED = "this order was not delivered, so there is nothing to fetch back"
NEXT: Mapping[c.DeliveryStatus, c.DeliveryStatus] = {"scheduled": "shipped", "shipped": "in_transit", "in_transit": "delivered"}
NEXT_OF_RETURN: Mapping[c.DeliveryStatus, c.DeliveryStatus] = {"scheduled": "returned"}


@dataclass(frozen=True)
class Delivery:
    """`confirmed`: the order is, so that the parcel may go. `note`: why there is none, where the status is refused."""

    id: str
    order_id: str
    return_id: str
    user_id: str
    status: Status
    confirmed: bool
    method: c.DeliveryMethod
    source: str
    destination: Address
    pickup_point_id: str
    lines: tuple[Units, ...]
    weight_grams: int
    tracking_number: str
    shipment_date: datetime
    delivery_date: datetime
    created_at: datetime
    updated_at: datetime
    note: str = ""

    def next(self) -> c.DeliveryStatus | None:
        """The one status that may come next."""
        return None if self.status == "refused" else (NEXT_OF_RETURN if self.return_id else NEXT).get(self.status)

    def move(self, status: c.DeliveryStatus, now: datetime) -> tuple[Delivery, list[Event]]:
        """A step on; to where it is already, nothing. Raises DomainError `delivery.transition`."""
        if status == self.status:
            return self, []
        if status != self.next():
            after = f"{self.next()} comes next" if self.next() else "nothing comes after that"
            raise DomainError("delivery.transition", f"this delivery is {self.status}: {after}, not {status}")
        moved = replace(
            self, status=status, updated_at=now, shipment_date=now if status == "shipped" else self.shipment_date,
            delivery_date=now if status in ("delivered", "returned") else self.delivery_date,
        )  # fmt: skip
        return moved, [self._step(status, now)]

    def answer(self) -> Event:
        """What whoever books it is told, however often."""
        if self.status in ("refused", "cancelled"):
            return c.NoCarrier(order_id=self.order_id, reason=self.note or CALLED_OFF)
        return self.scheduled()

    def scheduled(self) -> Event:
        if self.return_id:
            return c.ReturnScheduled(order_id=self.order_id, return_id=self.return_id, delivery_id=self.id, tracking_number=self.tracking_number)
        return c.ShippingScheduled(
            order_id=self.order_id, delivery_id=self.id, tracking_number=self.tracking_number, shipment_date=self.shipment_date,
            delivery_date=self.delivery_date,
        )  # fmt: skip

    def _step(self, status: c.DeliveryStatus, now: datetime) -> Event:
        match status:
            case "shipped":
                return c.DeliveryShipped(order_id=self.order_id, delivery_id=self.id, tracking_number=self.tracking_number)
            case "in_transit":
                return c.DeliveryInTransit(order_id=self.order_id, delivery_id=self.id)
            case "delivered":
                return c.DeliveryDelivered(order_id=self.order_id, delivery_id=self.id, at=now)
            case _:
                return c.ReturnReceived(order_id=self.order_id, return_id=self.return_id)

    def erased(self) -> Delivery:
        """What may be kept of it when the buyer is erased; a parcel on its way back goes to the shop."""
        return self if self.return_id else replace(self, destination=self.destination.erased(), pickup_point_id="")

    def view(self) -> c.DeliveryView:
        assert self.status != "refused", "what is not to be delivered is never shown"
        return c.DeliveryView(
            id=self.id, order_id=self.order_id, user_id=self.user_id, kind="return" if self.return_id else "delivery", return_id=self.return_id,
            source=self.source, destination=self.destination, method=self.method, pickup_point_id=self.pickup_point_id, status=self.status,
            shipment_date=self.shipment_date, delivery_date=self.delivery_date, tracking_number=self.tracking_number, created_at=self.created_at,
            updated_at=self.updated_at,
        )  # fmt: skip


def schedule(id: str, cmd: c.ScheduleShipping, now: datetime) -> Delivery:
    """A booking; with status refused where no carrier goes."""
    why_not, leaves = obstacle(cmd.method, cmd.weight_grams, cmd.pickup_point_id), now + HANDLING
    return Delivery(
        id=id, order_id=cmd.order_id, return_id="", user_id=cmd.user_id, status="refused" if why_not else "scheduled", confirmed=False,
        method=cmd.method, source=cmd.source, destination=cmd.destination, pickup_point_id=cmd.pickup_point_id, lines=cmd.lines,
        weight_grams=cmd.weight_grams, tracking_number=tracking_number(id), shipment_date=leaves,
        delivery_date=leaves + travel_time(cmd.method, cmd.destination.city), created_at=now, updated_at=now, note=why_not,
    )  # fmt: skip


def called_off(id: str, order_id: str, now: datetime) -> Delivery:
    """Remembers that an order which has not been booked yet is not to be."""
    nowhere = Address(city="-", street="-", postcode="-")
    return Delivery(
        id=id, order_id=order_id, return_id="", user_id="", status="refused", confirmed=False, method="courier", source="", destination=nowhere,
        pickup_point_id="", lines=(), weight_grams=0, tracking_number="", shipment_date=now, delivery_date=now, created_at=now, updated_at=now,
        note=CALLED_OFF,
    )  # fmt: skip


def cancelling_answer(order_id: str, found: Delivery | None) -> Event:
    """What becomes of the wish to call a delivery off that was found like this."""
    if found is None or found.status in ("refused", "scheduled", "cancelled"):
        return c.ShippingCancelled(order_id)
    return c.CancellationRefused(order_id=order_id, reason="the parcel has been handed to the carrier")


def schedule_return(id: str, cmd: c.ScheduleReturn, sent: Delivery, now: datetime) -> Delivery:
    """The way back of (part of) what was sent: to the city it came from."""
    home = Address(city=sent.source or "-", street="Torg, returns", postcode="-", country=sent.destination.country)
    leaves = now + HANDLING
    return Delivery(
        id=id, order_id=cmd.order_id, return_id=cmd.return_id, user_id=sent.user_id, status="scheduled", confirmed=True, method="courier",
        source=sent.destination.city, destination=home, pickup_point_id="", lines=cmd.lines, weight_grams=sent.weight_grams,
        tracking_number=tracking_number(id), shipment_date=leaves, delivery_date=leaves + travel_time("courier", sent.destination.city),
        created_at=now, updated_at=now,
    )  # fmt: skip


def without_person(booking: c.ScheduleShipping) -> c.ScheduleShipping:
    """What may be kept of it when the buyer is erased."""
    return msgspec.structs.replace(booking, destination=booking.destination.erased(), pickup_point_id="")


def tracking_number(id: str) -> str:
    """The random end of a UUIDv7, as carriers write it: TG and 12 figures or letters."""
    return f"TG{id.replace('-', '')[-12:].upper()}"


def tracking(delivery: Delivery, history: Iterable[Envelope]) -> tuple[c.TrackingEntry, ...]:
    """What the order's events say of this parcel."""
    said = ((_status(delivery, row.message), row.at) for row in history)
    seen: dict[c.DeliveryStatus, datetime] = {}
    for status, at in said:
        if status:
            seen.setdefault(status, at)
    return tuple(c.TrackingEntry(status, at) for status, at in seen.items())


def as_logged(delivery: Delivery, history: Iterable[Envelope]) -> Delivery | None:
    """Where the log says that a parcel is, and since when; None where it has nothing of it."""
    steps = tracking(delivery, history)
    if not steps:
        return None
    left = next((step.at for step in steps if step.status == "shipped"), delivery.shipment_date)
    last = steps[-1]
    came = last.at if last.status in ("delivered", "returned") else delivery.delivery_date
    return replace(delivery, status=last.status, shipment_date=left, delivery_date=came, updated_at=last.at)


def _status(delivery: Delivery, event: object) -> c.DeliveryStatus | None:
    match event:
        case c.ShippingScheduled(delivery_id=delivery.id) | c.ReturnScheduled(delivery_id=delivery.id):
            return "scheduled"
        case c.DeliveryShipped(delivery_id=delivery.id):
            return "shipped"
        case c.DeliveryInTransit(delivery_id=delivery.id):
            return "in_transit"
        case c.DeliveryDelivered(delivery_id=delivery.id):
            return "delivered"
        case c.ShippingCancelled() if not delivery.return_id:
            return "cancelled"
        case c.ReturnReceived(return_id=delivery.return_id):
            return "returned"
        case _:
            return None
