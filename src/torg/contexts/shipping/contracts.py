"""Deliveries as others see them: what they cost, scheduling and cancelling one, and how far it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from torg.contexts.inventory.contracts import Units
from torg.contexts.user.contracts import Address
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Money

DeliveryMethod = Literal["courier", "pickup", "post"]


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


@message("shipping.get_delivery_quotes")
class GetDeliveryQuotes(Query[tuple[DeliveryQuote, ...]], frozen=True, kw_only=True):
    """All ways to deliver so many grams to a city."""

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
    order_id: str
    delivery_id: str
    tracking_number: str
    shipment_date: datetime
    delivery_date: datetime


@message("shipping.no_carrier")
class NoCarrier(Event, frozen=True, kw_only=True):
    order_id: str
    reason: str


@message("shipping.cancel_shipping")
class CancelShipping(Command[None], frozen=True):
    """Calls a delivery off. Answered by ShippingCancelled (also when nothing was scheduled; scheduling it later is then refused), or once it was
    handed to the carrier by CancellationRefused."""

    order_id: str


@message("shipping.cancelled")
class ShippingCancelled(Event, frozen=True):
    order_id: str


@message("shipping.cancellation_refused")
class CancellationRefused(Event, frozen=True):
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
    order_id: str
    delivery_id: str


@message("delivery.delivered")
class DeliveryDelivered(Event, frozen=True, kw_only=True):
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
    order_id: str
    return_id: str


@message("delivery.return_refused")
class ReturnRefused(Event, frozen=True, kw_only=True):
    order_id: str
    return_id: str
    reason: str
