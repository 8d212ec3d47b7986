"""Plans, filters and orders as Elasticsearch's queries.

Relevance is the tiers of decision 9: each is a query narrower than the next, with a constant score, so that the score of a product is the best tier that it
matches, whatever else the index holds. Inside a tier the more popular product comes first, then the one with the later id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torg.contexts.catalog.adapters.index_common import cursors
from torg.contexts.catalog.adapters.index_common.facet_values import rating_units
from torg.contexts.catalog.adapters.index_common.planning import Plan
from torg.contexts.catalog.adapters.index_common.synonyms import Phrase
from torg.contexts.catalog.ports import BadCursor, SearchRequest, Sort

Query = dict[str, Any]

EVERYTHING: Query = {"match_all": {}}
NOTHING: Query = {"match_none": {}}
PHRASE_SLOP = 1  # "chips with salt" is still the phrase "chips salt"
SORTS: Mapping[Sort, Sequence[Mapping[str, str]]] = {
    "relevance": ({"popularity": "desc"}, {"id": "desc"}),
    "-popularity": ({"popularity": "desc"}, {"id": "desc"}),
    "price": ({"price": "asc"}, {"id": "asc"}),
    "-price": ({"price": "desc"}, {"id": "desc"}),
    "-rating": ({"rating": "desc"}, {"rating_count": "desc"}, {"id": "desc"}),
    "-created_at": ({"created_at": "desc"}, {"id": "desc"}),
}


class Place(cursors.Place, frozen=True, array_like=True):
    """The last product of a page: its values in the order."""

    after: tuple[int | float | str, ...]


def place_in(request: SearchRequest) -> Place | None:
    """Where the page before ended. Raises BadCursor."""
    if request.cursor is None:
        return None
    place = cursors.place_of(request.cursor, request, Place)
    values = len(SORTS[request.sort]) + (request.sort == "relevance" and bool(request.text.strip()))
    if len(place.after) != values:
        raise BadCursor("the cursor was not made by this index")
    return place


def matching(plan: Plan | None) -> Query:
    """What a product must match to be found."""
    if plan is None:
        return EVERYTHING
    return _words(plan, "everything") if plan.slots else NOTHING


def ranked(plan: Plan, rarest: int | None) -> Query:
    """As `matching`, scored by tier; `rarest` is the slot that says most about the product."""
    tiers = _tiers(plan, rarest)
    return {"dis_max": {"queries": [{"constant_score": {"filter": tier, "boost": len(tiers) - at}} for at, tier in enumerate(tiers)]}}


def order(plan: Plan | None, sort: Sort) -> list[Mapping[str, str]]:
    """No two products stand at the same place of it."""
    return [*([{"_score": "desc"}] if plan and sort == "relevance" else []), *SORTS[sort]]


def filters(request: SearchRequest) -> dict[str, Query]:
    """One query for each filter the request sets, by the facet it belongs to."""
    found: dict[str, Query] = {
        field: {"term": {field: value}}
        for field, value in (("category", request.category), ("brand", request.brand), ("in_stock", request.in_stock))
        if value is not None
    }
    bounds = {"gte": request.price_min, "lte": request.price_max}
    if bounds := {name: bound for name, bound in bounds.items() if bound is not None}:
        found["price"] = {"range": {"price": bounds}}
    if request.rating_min is not None:
        found["rating"] = {"range": {"rating": {"gte": rating_units(request.rating_min)}}}
    return found


def all_of(queries: Iterable[Query]) -> Query:
    """Unscored."""
    queries = list(queries)
    return {"bool": {"filter": queries}} if queries else EVERYTHING


def with_word(field: str, words: str) -> Query:
    """Products that have all of the words, in whatever form."""
    return {"match": {field: {"query": words, "operator": "and"}}}


def beginning(words: Sequence[str], last: str) -> Query:
    """Products whose names have all of the words, and names or brand one that begins as the last."""
    return all_of([*([with_word("names", " ".join(words))] if words else []), {"prefix": {"word": last}}])


def slot(alternatives: Sequence[Phrase], *fields: str) -> Query:
    """Products with one of the phrases in one of the fields."""
    return any_of([with_word(field, " ".join(phrase)) for phrase in alternatives for field in fields])


def any_of(queries: Sequence[Query], at_least: int = 1) -> Query:
    return queries[0] if len(queries) == 1 else {"bool": {"should": queries, "minimum_should_match": at_least}}


def _tiers(plan: Plan, rarest: int | None) -> list[Query]:
    """Each contains those before it."""
    everything = matching(plan)
    if not plan.slots:
        return [everything]
    in_names = _words(plan, "names")
    if plan.at_least is not None:
        return [in_names, everything]
    mixed = _words(plan, "names", "kind")
    tiers = [all_of([in_names, _words(plan, "kind")]), in_names, mixed, everything]
    if len(plan.slots) > 1 and rarest is not None:
        tiers.insert(2, all_of([mixed, slot(plan.slots[rarest], "names")]))
    if len(plan.phrase) > 1:
        phrase = _together(plan.phrase)
        tiers[:1] = [all_of([phrase, tiers[0]]), phrase]
    return tiers


def _together(words: Phrase) -> Query:
    """Side by side in the name; two also the other way round: "оливковое масло" is "Масло оливковое" there."""
    orders = [words, words[::-1]] if len(words) == 2 else [words]
    return any_of([{"match_phrase": {"names": {"query": " ".join(order), "slop": PHRASE_SLOP}}} for order in orders])


def _words(plan: Plan, *fields: str) -> Query:
    slots = [slot(alternatives, *fields) for alternatives in plan.slots]
    return all_of(slots) if plan.at_least is None else any_of(slots, plan.at_least)
