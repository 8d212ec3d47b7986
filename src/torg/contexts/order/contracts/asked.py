"""What buyers, staff and operators ask of orders."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from torg.contexts.order.contracts.orders import OrderView, ReturnLine, Status
from torg.contexts.payment.contracts import Method
from torg.contexts.shipping.contracts import DeliveryMethod
from torg.contexts.user.contracts import Address
from torg.kit.auth import Identity
from torg.kit.messages import Command, Query, message
from torg.kit.period import PERIOD
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Limit, Money, Text


class DeliveryChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How and where: an own saved address, a new one, or a pick-up point."""

    method: DeliveryMethod
    address_id: str = ""
    address: Address | None = None
    pickup_point_id: str = ""


class PaymentChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: Method


class OrderPage(msgspec.Struct, frozen=True):
    items: tuple[OrderView, ...]
    next_cursor: str | None


@message("order.place_order")
class PlaceOrder(Command[OrderView], frozen=True, kw_only=True):
    """Orders what is in the buyer's cart. Raises DomainError `cart.empty`, `cart.unavailable`, `order.total_changed`, `promo.*`, `saga.busy`."""

    buyer: Identity
    delivery: DeliveryChoice
    payment: PaymentChoice
    expected_total: Money | None = None


@message("order.list_orders")
class ListOrders(Query[OrderPage], frozen=True, kw_only=True):
    """The buyer's orders of a period, newest first; from inclusive, to exclusive, each a date or a time."""

    RULES = PERIOD

    buyer: Identity
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    status: Status | None = None
    cursor: str = ""
    limit: Limit = 24


@message("order.list_all_orders")
class ListAllOrders(Query[OrderPage], frozen=True, kw_only=True):
    """Everybody's orders of a period, for staff; without a viewer as the shop itself has them."""

    RULES = PERIOD

    viewer: Identity | None = None
    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    status: Status | None = None
    user_id: str = ""
    cursor: str = ""
    limit: Limit = 24


class OrderCount(msgspec.Struct, frozen=True):
    status: Status
    count: int


class OrderCounts(msgspec.Struct, frozen=True):
    items: tuple[OrderCount, ...]


@message("order.count_orders")
class CountOrders(Query[OrderCounts], frozen=True, kw_only=True):
    """How many orders that were placed since a moment stand how, for staff."""

    since: datetime


@message("order.get_order")
class GetOrder(Query[OrderView], frozen=True):
    """Raises NotFound `order.not_found`, also for somebody else's order unless support asks."""

    order_id: str
    viewer: Identity


class HistoryEntry(msgspec.Struct, frozen=True):
    """One event of an order; `data` is the event as it stands in the log."""

    version: int
    name: str
    at: datetime
    data: msgspec.Raw


class History(msgspec.Struct, frozen=True):
    items: tuple[HistoryEntry, ...]


@message("order.get_history")
class GetHistory(Query[History], frozen=True):
    """An order's events, from its log."""

    order_id: str
    viewer: Identity


@message("order.cancel_order")
class CancelMyOrder(Command[OrderView], frozen=True, kw_only=True):
    """Stops the order and undoes what was done for it. Raises DomainError `order.not_cancellable` once it was handed to the carrier, or has
    ended."""

    order_id: str
    buyer: Identity
    reason: Text


@message("order.request_return")
class RequestReturn(Command[OrderView], frozen=True, kw_only=True):
    """Has goods fetched back, within 30 days of delivery. Raises DomainError `order.not_returnable`, Invalid for lines that were not ordered or were
    returned before."""

    order_id: str
    buyer: Identity
    lines: Annotated[tuple[ReturnLine, ...], msgspec.Meta(min_length=1, max_length=100)]
    reason: Text


@message("order.rebuild_order")
class RebuildOrder(Rebuild, frozen=True, kw_only=True):
    """Makes the lists' row of one order what the log says of it. Raises NotFound `order.not_found`."""

    order_id: str


@message("order.list_mended")
class ListMended(Mended, frozen=True, kw_only=True):
    """The lists had an order other than it is, and have it right now."""
