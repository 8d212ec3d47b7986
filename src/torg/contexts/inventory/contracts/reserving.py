"""What orders ask of the stock: how much there is, putting it aside, letting it go, taking it back."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.kit.messages import Command, Event, Query, message

MOST = 1_000_000  # units that one line may move


class Units(msgspec.Struct, frozen=True):
    """So many units of a product."""

    product_id: str
    quantity: int


class Allocation(msgspec.Struct, frozen=True):
    """Units of a product that one warehouse holds for an order."""

    warehouse_id: str
    product_id: str
    quantity: int


@message("inventory.get_availability")
class GetAvailability(Query[tuple[Units, ...]], frozen=True):
    """Units that can be sold now, for each of these products in this order; 0 for unknown ones."""

    product_ids: tuple[str, ...]


@message("inventory.reserve_items")
class ReserveItems(Command[None], frozen=True, kw_only=True):
    """Holds the lines for an order until `hold_until`, from the nearest warehouse that has all, else split. Answered by ItemsReserved or
    ReservationFailed; asking again gives the first answer again."""

    order_id: str
    lines: tuple[Units, ...]
    city: str
    hold_until: datetime


@message("inventory.items_reserved")
class ItemsReserved(Event, frozen=True, kw_only=True):
    """The order's lines are put aside. `source` names the city of the (first) warehouse. `again`: an answer given before, repeated; nothing more
    was held."""

    order_id: str
    allocations: tuple[Allocation, ...]
    source: str
    again: bool = False


@message("inventory.reservation_failed")
class ReservationFailed(Event, frozen=True, kw_only=True):
    """Nothing was held. `short` lists the products of which there is too little."""

    order_id: str
    reason: str
    short: tuple[str, ...] = ()


@message("inventory.release_items")
class ReleaseItems(Command[None], frozen=True):
    """Lets go of what an order holds; answered by ItemsReleased also when it holds nothing (any more), and a reservation asked for later is refused."""

    order_id: str


@message("inventory.items_released")
class ItemsReleased(Event, frozen=True):
    """The order holds nothing any more."""

    order_id: str


@message("inventory.reservation_expired")
class ReservationExpired(Event, frozen=True):
    """The order's hold ran out before it was paid: its units are free again. `gone`: it was confirmed all the same, and the units cannot be had again."""

    order_id: str
    gone: bool = False


@message("inventory.restock_items")
class RestockItems(Command[None], frozen=True, kw_only=True):
    """Returned goods are back on the shelf. Answered by ItemsRestocked; repeated asking for the same return counts once."""

    order_id: str
    return_id: str
    lines: tuple[Units, ...]


@message("inventory.items_restocked")
class ItemsRestocked(Event, frozen=True):
    """Returned goods are back on the shelf; `allocations` say what went where, and are empty when this repeats an answer."""

    order_id: str
    return_id: str
    allocations: tuple[Allocation, ...] = ()


@message("inventory.reservation_secured")
class ReservationSecured(Event, frozen=True):
    """The order is confirmed: its hold no longer runs out."""

    order_id: str


@message("inventory.items_shipped")
class ItemsShipped(Event, frozen=True, kw_only=True):
    """What was reserved has left the warehouses."""

    order_id: str
    allocations: tuple[Allocation, ...]
