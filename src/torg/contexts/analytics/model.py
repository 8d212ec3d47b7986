"""What a sale adds to the reports. Facts are counted on the day the order was placed; what is undone is taken back from that same day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import permutations

import msgspec
from msgspec.structs import replace

from torg.contexts.order.contracts import OrderLine

FUNNEL_STEPS = {"view": "view", "click": "view", "cart": "cart", "checkout": "checkout"}  # the step that each kind of behaviour reaches
LARGEST_BASKET = 30  # lines of an order that count as bought together: pairs grow with their square


class Sale(msgspec.Struct, frozen=True, tag=True):
    """A confirmed order: `lines` are those that have not come back, `revenue` is what is left of the money. Days are UTC, as 2026-11-21."""

    order_id: str
    user_id: str
    day: str
    city: str
    revenue: int
    lines: tuple[OrderLine, ...]

    def without(self, part: Return) -> Sale:
        """What is left of it when a part has come back."""
        back = {line.product_id: line.quantity for line in part.goods}
        left = [(line, line.quantity - back.get(line.product_id, 0)) for line in self.lines]
        lines = tuple(replace(line, quantity=quantity, line_total=line.unit_price * quantity) for line, quantity in left if quantity > 0)
        return replace(self, revenue=self.revenue - part.refund, lines=lines)


class Return(msgspec.Struct, frozen=True, tag=True):
    """Part of an order came back: these goods, for so much."""

    order_id: str
    return_id: str
    goods: tuple[OrderLine, ...]
    refund: int


class Undone(msgspec.Struct, frozen=True, tag=True):
    """A confirmed order was cancelled, or the last of it came back."""

    order_id: str


Fact = Sale | Return | Undone
"""What the reports are made of; those of an order are told in their order."""


@dataclass(frozen=True)
class Count:
    """So much more (or less) of a report's row: `dimension` is day, city, category or product, `key` its value."""

    dimension: str
    key: str
    orders: int
    units: int
    revenue: int


def counts(sale: Sale | None) -> list[Count]:
    """What a sale that stands adds to the reports. Its day and city count what was paid for it all; products and categories their own lines."""
    if sale is None:
        return []
    units = sum(line.quantity for line in sale.lines)
    found = [Count("day", sale.day, 1, units, sale.revenue), Count("city", sale.city, 1, units, sale.revenue)]
    found += [Count("product", line.product_id, 1, line.quantity, line.line_total.amount) for line in sale.lines]
    for category in sorted({category for line in sale.lines for category in line.category_path}):
        inside = [line for line in sale.lines if category in line.category_path]
        found.append(Count("category", category, 1, sum(line.quantity for line in inside), sum(line.line_total.amount for line in inside)))
    return found


def changes(before: Sale | None, after: Sale | None) -> list[Count]:
    """By how much the reports' rows change when a sale does: an order counts for a product, or a category, for as long as some of it is left with the buyer."""
    found = {(count.dimension, count.key): count for count in counts(after)}
    for was in counts(before):
        now = found.get((was.dimension, was.key), Count(was.dimension, was.key, 0, 0, 0))
        found[was.dimension, was.key] = Count(was.dimension, was.key, now.orders - was.orders, now.units - was.units, now.revenue - was.revenue)
    return [count for count in found.values() if count.orders or count.units or count.revenue]


def basket(lines: Sequence[OrderLine]) -> list[str]:
    """The different products that count as bought together."""
    return sorted({line.product_id for line in lines[:LARGEST_BASKET]})


def pairs(lines: Sequence[OrderLine]) -> Iterator[tuple[str, str]]:
    """Every ordered pair of different products in a basket."""
    return permutations(basket(lines), 2)


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
