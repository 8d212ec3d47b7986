"""Facets: each counted under all filters but its own, in one request beside the total, which the server keeps until the index changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from torg.contexts.catalog.adapters.index_common.facet_values import (
    MOST_VALUES,
    PRICE_STEPS,
    RATING_UNITS,
    STARS,
    Counts,
    at_least,
    most_first,
    price_ranges,
)
from torg.contexts.catalog.adapters.index_elastic.queries import Query, all_of

_PRICES = [*({"from": low, "to": high} for low, high in pairwise(PRICE_STEPS)), {"from": PRICE_STEPS[-1]}]
_STARS = [*({"from": star * RATING_UNITS, "to": (star + 1) * RATING_UNITS} for star in STARS), {"from": (STARS[0] + 1) * RATING_UNITS}]
AGGREGATIONS: Mapping[str, Any] = {
    "category": {"terms": {"field": "category", "size": MOST_VALUES}},
    "brand": {"terms": {"field": "brand", "size": MOST_VALUES}},
    "price": {"range": {"field": "price", "ranges": _PRICES}},
    "rating": {"range": {"field": "rating", "ranges": _STARS}},
}


class Bucket(msgspec.Struct, frozen=True):
    """One value of a facet: its name, or its bounds."""

    doc_count: int
    key: str = ""
    from_: float = msgspec.field(default=0, name="from")
    to: float | None = None


class Buckets(msgspec.Struct, frozen=True):
    buckets: list[Bucket] = []


class Counted(msgspec.Struct, frozen=True):
    """The products under some filters, and the facets that are counted under them."""

    doc_count: int = 0
    category: Buckets = Buckets()
    kept: Buckets = Buckets()
    brand: Buckets = Buckets()
    price: Buckets = Buckets()
    rating: Buckets = Buckets()


def aggregations(filters: Mapping[str, Query], kept: Collection[str]) -> dict[str, Any]:
    """Under "all" what shares all filters, under a facet's name the one whose own filter is left out; `kept` categories are never cut off."""
    shared = [facet for facet in AGGREGATIONS if facet not in filters]
    asked = {"all": _under(filters, shared, kept)}
    for facet in AGGREGATIONS.keys() & filters.keys():
        asked[facet] = _under({name: query for name, query in filters.items() if name != facet}, [facet], kept)
    return asked


def counts(answer: Mapping[str, Counted]) -> Counts:
    """From the answer to `aggregations`."""
    of = {facet: answer.get(facet, answer["all"]) for facet in AGGREGATIONS}
    return {
        "category": _categories(of["category"]),
        "brand": [(bucket.key, bucket.doc_count) for bucket in of["brand"].brand.buckets],
        "price": price_ranges((int(one.from_), None if one.to is None else int(one.to), one.doc_count) for one in of["price"].price.buckets),
        "rating": at_least({int(one.from_) // RATING_UNITS: one.doc_count for one in of["rating"].rating.buckets}),
    }


def _under(filters: Mapping[str, Query], facets: Collection[str], kept: Collection[str]) -> dict[str, Any]:
    inside = {facet: AGGREGATIONS[facet] for facet in facets}
    if kept and "category" in inside:
        inside["kept"] = {"terms": {"field": "category", "size": len(kept), "include": sorted(kept)}}
    return {"filter": all_of(filters.values()), "aggs": inside}


def _categories(counted: Counted) -> list[tuple[str, int]]:
    shown = [(bucket.key, bucket.doc_count) for bucket in counted.category.buckets]
    above = {value for value, _ in shown}
    return [*shown, *most_first((bucket.key, bucket.doc_count) for bucket in counted.kept.buckets if bucket.key not in above)]
