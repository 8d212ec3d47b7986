"""Deliveries as others see them: what they cost, scheduling and cancelling one, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.contexts.inventory.contracts import Units
from torg.contexts.user.contracts import Address
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Limit, Money

DeliveryMethod = Literal["courier", "pickup", "post"]
DeliveryStatus = Literal["scheduled", "shipped", "in_transit", "delivered", "cancelled", "returned"]
HEAVIEST = 1_000_000  # grams that a quote may be asked for


class PickupPoint(msgspec.Struct, frozen=True):
    id: str
    name: str
    address: Address


class DeliveryQuote(msgspec.Struct, frozen=True, kw_only=True):
    """What a way of delivery costs and how many days it takes."""

    method: DeliveryMethod
    price: Money
    days_min: int
    days_max: int
    pickup_points: tuple[PickupPoint, ...] = ()


def _named(city: str, _: datetime) -> str | None:
    return None if 1 <= len(city.strip()) <= 200 else "name the city, in 1 to 200 characters"


def _weighable(grams: int, _: datetime) -> str | None:
    return None if 0 <= grams <= HEAVIEST else f"a weight is from 0 to {HEAVIEST} grams"


PARCEL: dict[str, Rule] = {"city": _named, "weight_grams": _weighable}


@message("shipping.get_delivery_quotes")
class GetDeliveryQuotes(Query[tuple[DeliveryQuote, ...]], frozen=True, kw_only=True):
    """All ways to deliver so many grams to a city."""

    RULES = PARCEL

    city: str
    weight_grams: int = 1000


@message("shipping.get_pickup_point")
class GetPickupPoint(Query[PickupPoint], frozen=True):
    """Raises NotFound `pickup_point.not_found`."""

    pickup_point_id: str


@message("shipping.schedule_shipping")
class ScheduleShipping(Command[None], frozen=True, kw_only=True):
    """Books a carrier from `source` (a city) to the address. Answered by ShippingScheduled or NoCarrier; asking again gives the first answer again."""

    order_id: str
    user_id: str
    source: str
    destination: Address
    method: DeliveryMethod
    lines: tuple[Units, ...]
    weight_grams: int
    pickup_point_id: str = ""


@message("shipping.scheduled")
class ShippingScheduled(Event, frozen=True, kw_only=True):
    """A carrier is booked. The dates are what is planned."""

    order_id: str
    delivery_id: str
    tracking_number: str
    shipment_date: datetime
    delivery_date: datetime


@message("shipping.no_carrier")
class NoCarrier(Event, frozen=True, kw_only=True):
    """Nobody carries it; `reason` is a sentence for the buyer."""

    order_id: str
    reason: str


@message("shipping.cancel_shipping")
class CancelShipping(Command[None], frozen=True):
    """Calls a delivery off. Answered by ShippingCancelled (also when nothing was scheduled; scheduling it later is then refused), or once it was
    handed to the carrier by CancellationRefused."""

    order_id: str


@message("shipping.cancelled")
class ShippingCancelled(Event, frozen=True):
    """The order's parcel does not go, and none will."""

    order_id: str


@message("shipping.cancellation_refused")
class CancellationRefused(Event, frozen=True):
    """It is too late: the parcel has been handed over."""

    order_id: str
    reason: str


@message("delivery.shipped")
class DeliveryShipped(Event, frozen=True, kw_only=True):
    """Handed over to the carrier."""

    order_id: str
    delivery_id: str
    tracking_number: str


@message("delivery.in_transit")
class DeliveryInTransit(Event, frozen=True, kw_only=True):
    """The carrier has it on the way."""

    order_id: str
    delivery_id: str


@message("delivery.delivered")
class DeliveryDelivered(Event, frozen=True, kw_only=True):
    """It has arrived."""

    order_id: str
    delivery_id: str
    at: datetime


@message("delivery.schedule_return")
class ScheduleReturn(Command[None], frozen=True, kw_only=True):
    """Has a carrier fetch goods back. Answered by ReturnReceived once they are back in the warehouse, or ReturnRefused."""

    order_id: str
    return_id: str
    lines: tuple[Units, ...]


@message("delivery.return_received")
class ReturnReceived(Event, frozen=True, kw_only=True):
    """The goods are back in the warehouse."""

    order_id: str
    return_id: str


@message("delivery.return_refused")
class ReturnRefused(Event, frozen=True, kw_only=True):
    """Nothing is fetched back; `reason` says why."""

    order_id: str
    return_id: str
    reason: str


@message("delivery.return_scheduled")
class ReturnScheduled(Event, frozen=True, kw_only=True):
    """A carrier is to fetch goods back from the buyer."""

    order_id: str
    return_id: str
    delivery_id: str
    tracking_number: str


# ---------------------------------------------------------------- asked over HTTP


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A parcel on its way. `source` is a city. The dates are what is planned until it happens, and then when it happened.

    `kind` is return for a parcel on its way back to us; `return_id` is empty for all others."""

    id: str
    order_id: str
    user_id: str
    kind: Literal["delivery", "return"]
    return_id: str
    source: str
    destination: Address
    method: DeliveryMethod
    pickup_point_id: str
    status: DeliveryStatus
    shipment_date: datetime
    delivery_date: datetime
    tracking_number: str
    created_at: datetime
    updated_at: datetime


class DeliveryPage(msgspec.Struct, frozen=True):
    items: tuple[DeliveryView, ...]
    next_cursor: str | None


@message("shipping.list_deliveries")
class ListDeliveries(Query[DeliveryPage], frozen=True, kw_only=True):
    """Newest first; a buyer's own, everybody's for courier, support and warehouse, as far as they work there."""

    viewer: Identity
    order_id: str = ""
    status: DeliveryStatus | None = None
    cursor: str = ""
    limit: Limit = 24


@message("shipping.get_delivery")
class GetDelivery(Query[DeliveryView], frozen=True):
    """Raises NotFound `delivery.not_found`, also for somebody else's."""

    delivery_id: str
    viewer: Identity


class TrackingEntry(msgspec.Struct, frozen=True):
    status: DeliveryStatus
    at: datetime


class Tracking(msgspec.Struct, frozen=True):
    items: tuple[TrackingEntry, ...]


@message("shipping.track_delivery")
class TrackDelivery(Query[Tracking], frozen=True):
    """What has happened to a parcel, oldest first. Raises NotFound `delivery.not_found`."""

    delivery_id: str
    viewer: Identity


@message("shipping.move_delivery")
class MoveDelivery(Command[DeliveryView], frozen=True, kw_only=True):
    """A courier tells how far it is. Raises DomainError `delivery.transition` for a step out of turn, `delivery.not_ready` before the order is
    confirmed, NotFound `delivery.not_found`. Telling the same again is harmless."""

    delivery_id: str
    status: Literal["shipped", "in_transit", "delivered", "returned"]
    courier: Identity | None = None


# ---------------------------------------------------------------- asked by operators


@message("shipping.rebuild_delivery")
class RebuildDelivery(Rebuild, frozen=True, kw_only=True):
    """Makes a delivery's status what the log says of it. Raises NotFound `delivery.not_found`."""

    delivery_id: str


@message("delivery.mended")
class DeliveryMended(Mended, frozen=True, kw_only=True):
    """A delivery was not where the log said, and is now. No parcel has moved."""

    order_id: str
