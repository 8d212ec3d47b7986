"""Facets: one pass of tantivy's aggregations for all that share the same filters, one more for each whose own filter is set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tantivy import Query, Searcher

from torg.contexts.catalog.adapters.index_common.facet_values import (
    MOST_VALUES,
    PRICE_STEPS,
    RATING_UNITS,
    Counted,
    Counts,
    at_least,
    most_first,
    most_frequent,
    price_ranges,
)
from torg.contexts.catalog.adapters.index_tantivy.names import Names
from torg.contexts.catalog.adapters.index_tantivy.queries import all_of, others

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


Buckets = Iterable[Mapping[str, Any]]


def _read(facet: str, buckets: Buckets, names: Names, kept: frozenset[str]) -> list[tuple[str, int]]:
    if facet == "category":
        return _categories(buckets, names, kept)
    if facet == "brand":
        return most_first((names.brands[int(bucket["key"])], bucket["doc_count"]) for bucket in buckets)
    return _prices(buckets) if facet == "price" else _ratings(buckets)


def _categories(buckets: Buckets, names: Names, kept: frozenset[str]) -> list[tuple[str, int]]:
    """A product counts for every category on its path. One value a product and the adding up here beat a column of all its categories."""
    counts: dict[str, int] = {}
    for bucket in buckets:
        count = bucket["doc_count"]
        for category in names.paths[int(bucket["key"])]:
            counts[category] = counts.get(category, 0) + count
    return most_frequent(counts, kept)


def _prices(buckets: Buckets) -> list[tuple[str, int]]:
    return price_ranges((int(bucket.get("from", 0)), int(bucket["to"]) if "to" in bucket else None, int(bucket["doc_count"])) for bucket in buckets)


def _ratings(buckets: Buckets) -> list[tuple[str, int]]:
    return at_least({int(bucket.get("from", 0)) // RATING_UNITS: int(bucket["doc_count"]) for bucket in buckets})
