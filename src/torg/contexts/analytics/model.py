"""What a sale adds to the reports. Facts are counted on the day the order was placed; what is undone is taken back from that same day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import permutations

import msgspec

from torg.contexts.order.contracts import OrderLine

FUNNEL_STEPS = {"view": "view", "click": "view", "cart": "cart", "checkout": "checkout"}  # the step that each kind of behaviour reaches
LARGEST_BASKET = 30  # lines of an order that count as bought together: pairs grow with their square


@dataclass(frozen=True)
class Count:
    """So much more (or less) of a report's row: `dimension` is day, city, category or product, `key` its value ("" for day)."""

    dimension: str
    key: str
    orders: int
    units: int
    revenue: int


def counts(lines: Sequence[OrderLine], city: str, revenue: int, sign: int, orders: int = 1) -> list[Count]:
    """What an order's lines (`sign` 1) or their return (-1) change. `revenue` is what was paid for it all; lines and categories count their own totals.

    `orders` is 0 when only part of an order comes back: it stays an order."""
    units, touched = sum(line.quantity for line in lines), sign * orders
    found = [Count("day", "", touched, sign * units, sign * revenue), Count("city", city, touched, sign * units, sign * revenue)]
    found += [Count("product", line.product_id, touched, sign * line.quantity, sign * line.line_total.amount) for line in lines]
    for category in sorted({category for line in lines for category in line.category_path}):
        inside = [line for line in lines if category in line.category_path]
        worth = sum(line.line_total.amount for line in inside)
        found.append(Count("category", category, touched, sign * sum(line.quantity for line in inside), sign * worth))
    return found


def basket(lines: Sequence[OrderLine]) -> list[str]:
    """The different products that count as bought together."""
    return sorted({line.product_id for line in lines[:LARGEST_BASKET]})


def pairs(lines: Sequence[OrderLine]) -> Iterator[tuple[str, str]]:
    """Every ordered pair of different products in a basket."""
    return permutations(basket(lines), 2)


def without(lines: Sequence[OrderLine], goods: Sequence[OrderLine]) -> tuple[OrderLine, ...]:
    """What is left of lines when the goods have gone back."""
    back = {line.product_id: line.quantity for line in goods}
    left = []
    for line in lines:
        quantity = line.quantity - back.get(line.product_id, 0)
        if quantity > 0:
            left.append(msgspec.structs.replace(line, quantity=quantity, line_total=line.unit_price * quantity))
    return tuple(left)


def split_period(since: date, until: date) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """A period [since, until) as ranges of whole months and ranges of days, each (first, first after), so that a year reads twelve months and not 365 days."""
    first = since if since.day == 1 else _next_month(since)
    last = until.replace(day=1)
    if first >= last:
        return [], [(since.isoformat(), until.isoformat())]
    days = [(since, first), (last, until)]
    return [(_month(first), _month(last))], [(a.isoformat(), b.isoformat()) for a, b in days if a < b]


def week_of(day: str) -> str:
    """The Monday of a day's week (ISO 8601)."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def shares(visitors: Iterable[int]) -> list[int | None]:
    """Each number's share of the one before it, in per cent, rounded down."""
    found: list[int | None] = []
    before: int | None = None
    for number in visitors:
        found.append(number * 100 // before if before else None)
        before = number
    return found


def months_between(first: str, later: str) -> int:
    """Whole months from 2026-01 to 2026-03: 2."""
    return (int(later[:4]) - int(first[:4])) * 12 + int(later[5:7]) - int(first[5:7])


def _month(day: date) -> str:
    return day.isoformat()[:7]


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
