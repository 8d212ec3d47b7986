"""Facets: one pass of tantivy's aggregations for all that share the same filters, one more for each whose own filter is set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tantivy import Query, Searcher

from torg.contexts.catalog.adapters.index_tantivy.categories import Categories
from torg.contexts.catalog.adapters.index_tantivy.fields import RATING_UNITS
from torg.contexts.catalog.adapters.index_tantivy.queries import all_of, others
from torg.contexts.catalog.ports import Facets, FacetValue
from torg.kit.values import Language

MOST_VALUES = 100
STARS = (4, 3, 2, 1)

# 0.50, 1, 2, 5, 10 … of the currency's major unit: the same for every catalogue, so that a range is the same filter tomorrow.
PRICE_STEPS = (0, 50, *(step * 10**power for power in range(2, 11) for step in (1, 2, 5)))

# Every distinct value, not the first ten: a count that leaves some out would not be exact.
_ALL = 65_000
_AGGREGATIONS: Mapping[str, Mapping[str, Any]] = {
    "category": {"terms": {"field": "category", "size": _ALL, "segment_size": _ALL}},
    "brand": {"terms": {"field": "brand", "size": _ALL, "segment_size": _ALL}},
    "price": {
        "range": {
            "field": "price",
            "ranges": [{"from": low, "to": high} for low, high in pairwise(PRICE_STEPS)],
        }
    },
    "rating": {
        "range": {"field": "rating", "ranges": [{"from": star * RATING_UNITS, "to": (star + 1) * RATING_UNITS} for star in range(1, 5)]}
    },
}

Counts = dict[str, list[tuple[str, int]]]
"""For each facet its values and how many products have each."""


def counted(searcher: Searcher, matching: Query, filters: Mapping[str, Query]) -> Counts:
    """Counts each facet under all filters but its own."""
    together = [facet for facet in _AGGREGATIONS if facet not in filters]
    passes = [together, *([facet] for facet in _AGGREGATIONS if facet in filters)]
    counts: Counts = {}
    for facets in passes:
        if facets:
            query = all_of([matching, *others(filters, facets[0])])
            answer = searcher.aggregate(query, {facet: _AGGREGATIONS[facet] for facet in facets})
            counts.update((facet, _READERS[facet](answer[facet]["buckets"])) for facet in facets)
    return counts


def named(counts: Counts, chosen: str | None, categories: Categories, language: Language) -> Facets:
    """As a page shows them; the chosen category's own way and its children are never cut off."""
    kept = categories.around(chosen) if chosen else frozenset()
    category = [(value, count) for at, (value, count) in enumerate(counts["category"]) if at < MOST_VALUES or value in kept]
    return Facets(
        category=tuple(FacetValue(value, categories.name(value, language), count) for value, count in category),
        brand=tuple(FacetValue(value, value, count) for value, count in counts["brand"][:MOST_VALUES]),
        price=tuple(FacetValue(value, _price_name(value), count) for value, count in counts["price"]),
        rating=tuple(FacetValue(value, f"{value}+", count) for value, count in counts["rating"]),
    )


def _terms(buckets: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    found = [(str(bucket["key"]), int(bucket["doc_count"])) for bucket in buckets if bucket["doc_count"]]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _prices(buckets: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    filled = ((int(bucket.get("from", 0)), bucket.get("to"), int(bucket["doc_count"])) for bucket in buckets if bucket["doc_count"])
    return [(f"{low}-{'' if high is None else int(high) - 1}", count) for low, high, count in sorted(filled)]


def _ratings(buckets: Iterable[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """At least so many stars: a product of five counts for four, too."""
    exactly = [(int(bucket.get("from", 0)), int(bucket["doc_count"])) for bucket in buckets]
    at_least = [(star, sum(count for low, count in exactly if low >= star * RATING_UNITS)) for star in STARS]
    return [(str(star), count) for star, count in at_least if count]


def _price_name(value: str) -> str:
    low, _, high = value.partition("-")
    return f"{int(low) / 100:.2f}–{int(high) / 100:.2f}" if high else f"{int(low) / 100:.2f}+"


_READERS = {"category": _terms, "brand": _terms, "price": _prices, "rating": _ratings}
