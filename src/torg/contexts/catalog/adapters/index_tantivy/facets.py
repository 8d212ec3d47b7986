"""Facets: one pass of tantivy's aggregations for all that share the same filters, one more for each whose own filter is set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from tantivy import Query, Searcher

from torg.contexts.catalog.adapters.index_tantivy.categories import Categories
from torg.contexts.catalog.adapters.index_tantivy.fields import RATING_UNITS
from torg.contexts.catalog.adapters.index_tantivy.names import Names
from torg.contexts.catalog.adapters.index_tantivy.queries import all_of, others
from torg.contexts.catalog.ports import Facets, FacetValue
from torg.kit.values import Language

MOST_VALUES = 100
STARS = (4, 3, 2, 1)

# 0.50, 1, 2, 5, 10 … of the currency's major unit: the same for every catalogue, so that a range is the same filter tomorrow.
PRICE_STEPS = (0, 50, *(step * 10**power for power in range(2, 11) for step in (1, 2, 5)))

# From each segment every value, not the first ten: a count that leaves some out would not be exact.
_ALL = 65_000
_TOTAL = "total"
_COUNT: Mapping[str, Any] = {"value_count": {"field": "number"}}
_AGGREGATIONS: Mapping[str, Mapping[str, Any]] = {
    "category": {"terms": {"field": "path_number", "size": _ALL, "segment_size": _ALL}},
    "brand": {"terms": {"field": "brand_number", "size": MOST_VALUES, "segment_size": _ALL}},
    "price": {
        "range": {
            "field": "price",
            "ranges": [{"from": low, "to": high} for low, high in pairwise(PRICE_STEPS)],
        }
    },
    "rating": {"range": {"field": "rating", "ranges": [{"from": star * RATING_UNITS, "to": (star + 1) * RATING_UNITS} for star in range(1, 5)]}},
}

Counts = dict[str, list[tuple[str, int]]]
"""For each facet its values and how many products have each."""


class Counted(NamedTuple):
    """How many products a search finds, in all and by facet."""

    total: int
    facets: Counts


def counted(searcher: Searcher, matching: list[Query], filters: Mapping[str, Query], names: Names, kept: frozenset[str]) -> Counted:
    """Counts each facet under all filters but its own; the `kept` categories are never cut off."""
    shared = [facet for facet in _AGGREGATIONS if facet not in filters]
    total, counts = 0, Counts()
    for facets in ([_TOTAL, *shared], *([facet] for facet in _AGGREGATIONS if facet in filters)):
        query = all_of([*matching, *others(filters, facets[-1] if facets[0] != _TOTAL else "")])
        answer = searcher.aggregate(query, {facet: _AGGREGATIONS.get(facet, _COUNT) for facet in facets})
        total = int(answer[_TOTAL]["value"]) if _TOTAL in answer else total
        counts.update((facet, _read(facet, answer[facet]["buckets"], names, kept)) for facet in facets if facet != _TOTAL)
    return Counted(total, counts)


def named(counts: Counts, categories: Categories, language: Language) -> Facets:
    """As a page shows them."""
    return Facets(
        category=tuple(FacetValue(value, categories.name(value, language), count) for value, count in counts["category"]),
        brand=tuple(FacetValue(value, value, count) for value, count in counts["brand"]),
        price=tuple(FacetValue(value, _price_name(value), count) for value, count in counts["price"]),
        rating=tuple(FacetValue(value, f"{value}+", count) for value, count in counts["rating"]),
    )


Buckets = Iterable[Mapping[str, Any]]


def _read(facet: str, buckets: Buckets, names: Names, kept: frozenset[str]) -> list[tuple[str, int]]:
    if facet == "category":
        return _categories(buckets, names, kept)
    if facet == "brand":
        return _most_first((names.brands[int(bucket["key"])], bucket["doc_count"]) for bucket in buckets)
    return _prices(buckets) if facet == "price" else _ratings(buckets)


def _categories(buckets: Buckets, names: Names, kept: frozenset[str]) -> list[tuple[str, int]]:
    """A product counts for every category on its path. One value a product and the adding up here beat a column of all its categories."""
    counts: dict[str, int] = {}
    for bucket in buckets:
        count = bucket["doc_count"]
        for category in names.paths[int(bucket["key"])]:
            counts[category] = counts.get(category, 0) + count
    by_count = sorted(counts.items(), key=itemgetter(1), reverse=True)
    return _most_first([*by_count[:MOST_VALUES], *(one for one in by_count[MOST_VALUES:] if one[0] in kept)])


def _most_first(counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(counts, key=lambda one: (-one[1], one[0]))


def _prices(buckets: Buckets) -> list[tuple[str, int]]:
    filled = ((int(bucket.get("from", 0)), bucket.get("to"), int(bucket["doc_count"])) for bucket in buckets if bucket["doc_count"])
    return [(f"{low}-{'' if high is None else int(high) - 1}", count) for low, high, count in sorted(filled)]


def _ratings(buckets: Buckets) -> list[tuple[str, int]]:
    """At least so many stars: a product of five counts for four, too."""
    exactly = [(int(bucket.get("from", 0)), int(bucket["doc_count"])) for bucket in buckets]
    at_least = [(star, sum(count for low, count in exactly if low >= star * RATING_UNITS)) for star in STARS]
    return [(str(star), count) for star, count in at_least if count]


def _price_name(value: str) -> str:
    low, _, high = value.partition("-")
    return f"{int(low) / 100:.2f}–{int(high) / 100:.2f}" if high else f"{int(low) / 100:.2f}+"
