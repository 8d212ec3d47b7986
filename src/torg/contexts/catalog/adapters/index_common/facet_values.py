"""The facets' values: which there are, in what order, and what they are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import NamedTuple

from torg.contexts.catalog.adapters.index_common.categories import Categories
from torg.contexts.catalog.ports import Facets, FacetValue
from torg.kit.values import Language

MOST_VALUES = 100
STARS = (4, 3, 2, 1)
RATING_UNITS = 1_000_000  # an average of 4.5 is 4,500,000

# 0.50, 1, 2, 5, 10 … of the currency's major unit: the same for every catalogue, so that a range is the same filter tomorrow.
PRICE_STEPS = (0, 50, *(step * 10**power for power in range(2, 11) for step in (1, 2, 5)))

Counts = dict[str, list[tuple[str, int]]]
"""For each facet its values and how many products have each."""


class Counted(NamedTuple):
    """How many products a search finds, in all and by facet."""

    total: int
    facets: Counts


def rating_units(average: float) -> int:
    return round(average * RATING_UNITS)


def most_first(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda one: (-one[1], one[0]))


def most_frequent(counts: Mapping[str, int], kept: frozenset[str] = frozenset()) -> list[tuple[str, int]]:
    """The most frequent values, and behind them those that are kept in any case."""
    by_count = sorted(counts.items(), key=itemgetter(1), reverse=True)  # of thousands, so without comparing names
    least = by_count[MOST_VALUES - 1][1] if len(by_count) > MOST_VALUES else 0
    shown = most_first(one for one in by_count if one[1] >= least)
    above = {value for value, _ in shown[:MOST_VALUES]}
    return [*shown[:MOST_VALUES], *most_first((value, counts[value]) for value in kept if value in counts and value not in above)]


def price_ranges(found: Iterable[tuple[int, int | None, int]]) -> list[tuple[str, int]]:
    """Those that hold anything, from (lowest, first beyond, count)."""
    return [(f"{low}-{'' if high is None else high - 1}", count) for low, high, count in sorted(found, key=lambda one: one[0]) if count]


def at_least(exactly: Mapping[int, int]) -> list[tuple[str, int]]:
    """At least so many stars, from how many have exactly so many: a product of five counts for four, too."""
    counts = [(star, sum(count for stars, count in exactly.items() if stars >= star)) for star in STARS]
    return [(str(star), count) for star, count in counts if count]


def named(counts: Counts, categories: Categories, language: Language) -> Facets:
    """As a page shows them."""
    return Facets(
        category=tuple(FacetValue(value, categories.name(value, language), count) for value, count in counts["category"]),
        brand=tuple(FacetValue(value, value, count) for value, count in counts["brand"]),
        price=tuple(FacetValue(value, _price_name(value), count) for value, count in counts["price"]),
        rating=tuple(FacetValue(value, f"{value}+", count) for value, count in counts["rating"]),
    )


def _price_name(value: str) -> str:
    low, _, high = value.partition("-")
    return f"{int(low) / 100:.2f}–{int(high) / 100:.2f}" if high else f"{int(low) / 100:.2f}+"
