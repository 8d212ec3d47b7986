"""What pages work out by themselves: forms into messages, amounts that people type, how far an order is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeVar, get_type_hints

import msgspec

from torg.contexts.catalog.contracts import CategoryNode
from torg.contexts.order.contracts import HistoryEntry, OrderView, Status
from torg.kit.errors import FieldError, Invalid
from torg.kit.messages import Message, broken_rules

M = TypeVar("M", bound=Message)

# ---------------------------------------------------------------- forms


def read_form(kind: type[M], form: Mapping[str, str], now: datetime, **given: object) -> M:
    """The message that a form stands for; a field left empty is not given. Raises Invalid that names every bad field."""
    hints, faults, values = get_type_hints(kind, include_extras=True), list[FieldError](), dict(given)
    for info in msgspec.structs.fields(kind):
        typed = form.get(info.name, "")
        try:
            if info.name not in given and typed:
                values[info.name] = msgspec.convert(typed, hints[info.name], strict=False)
            elif info.name not in given and info.required:
                faults.append(FieldError(info.name, "missing", "this field is required"))
        except msgspec.ValidationError as error:
            faults.append(FieldError(info.name, "invalid", str(error)))
    faults += broken_rules(values.items(), kind.RULES, now)
    if faults:
        raise Invalid.fields(*faults)
    return kind(**values)


def minor_units(typed: str, digits: int) -> int | None:
    """What "12.50" or "1 200,5" is in minor units of a currency with so many digits; None for what is no amount."""
    plain = "".join(typed.split()).replace(",", ".")
    whole, _, part = plain.partition(".")
    if not (whole or part) or not (whole + part).isascii() or not (whole + part).isdigit() or len(part) > digits or len(whole) > 10:
        return None
    return int((whole or "0") + part.ljust(digits, "0"))


def whole_number(typed: str) -> int:
    """What somebody typed as a count; 0 for what is none."""
    return int(typed) if typed.isdecimal() and len(typed) < 10 else 0


def safe_path(text: str) -> str:
    """A path of this shop to send a browser to; the home page for anything else."""
    fine = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() and text.isprintable() and " " not in text
    return text if fine else "/"


# ---------------------------------------------------------------- orders

WAY: Final[tuple[Status, ...]] = ("pending", "reserved", "paid", "confirmed", "shipped", "delivered")
CASH_WAY: Final[tuple[Status, ...]] = tuple(status for status in WAY if status != "paid")
ENDS: Final[Mapping[Status, Literal["current", "ended"]]] = {
    "rejected": "ended", "cancelled": "ended", "cancelling": "current", "return_requested": "current",
}  # fmt: skip
MOVING = frozenset({"pending", "reserved", "paid", "cancelling"})
"""Statuses that change by themselves within seconds."""
EVENTS: Final[Mapping[str, Status]] = {
    "order.placed": "pending", "order.reserved": "reserved", "order.paid": "paid", "order.confirmed": "confirmed", "order.shipped": "shipped",
    "order.delivered": "delivered",
}  # fmt: skip


@dataclass(frozen=True)
class Stop:
    """A stop on an order's way."""

    status: Status
    state: Literal["done", "current", "ahead", "ended"]
    at: datetime | None


def way(order: OrderView, history: Iterable[HistoryEntry]) -> tuple[Stop, ...]:
    """The stops of an order, with the times at which it came to them; on a way that ended early, those it reached and its end."""
    reached = {EVENTS[entry.name]: entry.at for entry in history if entry.name in EVENTS}
    reached.setdefault("pending", order.created_date)
    stops = CASH_WAY if order.payment.method == "cash" else WAY
    if order.status not in stops:
        end = Stop(order.status, ENDS.get(order.status, "done"), order.updated_at)
        return (*(Stop(status, "done", reached[status]) for status in stops if status in reached), end)
    at = stops.index(order.status)
    last = at == len(stops) - 1
    return tuple(
        Stop(status, "done" if index < at or last else "current" if index == at else "ahead", reached.get(status)) for index, status in enumerate(stops)
    )


# ---------------------------------------------------------------- categories


def path_to(tree: Iterable[CategoryNode], category_id: str) -> tuple[CategoryNode, ...]:
    """The categories from a department down to this one; empty when there is no such category."""
    for node in tree:
        if node.id == category_id:
            return (node,)
        if below := path_to(node.children, category_id):
            return (node, *below)
    return ()
