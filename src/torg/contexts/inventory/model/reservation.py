"""What an order holds. A reservation is asked for once; whatever comes later finds it in one of these states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from torg.contexts.inventory.contracts import (
    Allocation,
    ItemsReleased,
    ItemsReserved,
    ItemsShipped,
    ReservationExpired,
    ReservationFailed,
    ReservationSecured,
)
from torg.kit.messages import Message

ReservationStatus = Literal["held", "secured", "shipped", "released", "expired", "refused"]
LIVE: frozenset[ReservationStatus] = frozenset({"held", "secured"})

SHORT = "not enough in stock"
CONTENDED = "too many buyers want the same items at this moment"
LET_GO = "the order had let go of its items before"
RAN_OUT = "the hold on the items ran out"


@dataclass(frozen=True)
class Reservation:
    """`answer` is what was answered first; None when the order let go before it had asked."""

    order_id: str
    status: ReservationStatus
    answer: ItemsReserved | ReservationFailed | None

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        return self.answer.allocations if isinstance(self.answer, ItemsReserved) else ()

    @property
    def live(self) -> bool:
        """Whether units lie aside for it."""
        return self.status in LIVE


def answer_again(found: Reservation) -> ItemsReserved | ReservationFailed:
    """What to tell somebody who asks for a reservation that there is already."""
    if found.status == "released" or found.answer is None:
        return ReservationFailed(order_id=found.order_id, reason=LET_GO)
    if found.status == "expired":
        return ReservationFailed(order_id=found.order_id, reason=RAN_OUT)
    return msgspec.structs.replace(found.answer, again=True) if isinstance(found.answer, ItemsReserved) else found.answer


def as_logged(order_id: str, history: Iterable[Message]) -> Reservation:
    """What an order's stream says of its reservation."""
    status: ReservationStatus = "released"
    answer: ItemsReserved | ReservationFailed | None = None
    for event in history:
        match event:
            case ItemsReserved(again=False):
                status, answer = "held", event
            case ReservationFailed() if answer is None:
                status, answer = "refused", event
            case ReservationSecured():
                status = "secured"
            case ItemsShipped():
                status = "shipped"
            case ReservationExpired(gone=False):
                status = "expired"
            case ItemsReleased() if status in LIVE:
                status = "released"
    return Reservation(order_id, status, answer)
