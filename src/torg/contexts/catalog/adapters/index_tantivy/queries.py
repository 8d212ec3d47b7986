"""Plans and filters as tantivy queries.

Relevance is tiers, each a query narrower than the next; inside a tier the more popular product comes first. Unlike a BM25 score a tier
depends on the product and the query alone, not on what else the index holds or how its segments are merged at the moment: that
keeps cursors stable, and puts names before descriptions by rule instead of by luck.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tantivy import FieldType, Occur, Query, Schema

from torg.contexts.catalog.adapters.index_common.facet_values import rating_units
from torg.contexts.catalog.adapters.index_common.planning import Plan
from torg.contexts.catalog.adapters.index_common.synonyms import Phrase
from torg.contexts.catalog.ports import SearchRequest

LARGEST = (1 << 63) - 1
PHRASE_SLOP = 1  # "chips with salt" is still the phrase "chips salt"


@dataclass(frozen=True)
class Queries:
    """Makes queries for one schema."""

    schema: Schema

    def matching(self, plan: Plan | None) -> list[Query]:
        """What a product must match to be found: nothing without a plan."""
        if plan is None:
            return []
        return [self._words(plan, "everything") if plan.slots else Query.empty_query()]

    def tiers(self, plan: Plan, rarest: int | None) -> list[Query]:
        """The plan's results by relevance, each tier containing those before it; `rarest` is the slot that says most about the product."""
        [everything] = self.matching(plan)
        if not plan.slots:
            return [everything]
        in_name = self._words(plan, "name")
        if plan.at_least is not None:
            return [in_name, everything]
        mixed = self._words(plan, "name", "kind")
        tiers = [all_of([in_name, self._words(plan, "kind")]), in_name, mixed, everything]
        if len(plan.slots) > 1:
            tiers[2:2] = [] if rarest is None else [all_of([mixed, self._slot(plan.slots[rarest], "name")])]
        if len(plan.phrase) > 1:
            phrase = self._together(plan.phrase)
            tiers[:1] = [all_of([phrase, tiers[0]]), phrase]
        return tiers

    def _together(self, stems: Phrase) -> Query:
        """Side by side in the name; two also the other way round: "оливковое масло" is "Масло оливковое" there."""
        orders = [stems, stems[::-1]] if len(stems) == 2 else [stems]
        found = [Query.phrase_query(self.schema, "name", list(order), slop=PHRASE_SLOP) for order in orders]
        return found[0] if len(found) == 1 else Query.boolean_query([(Occur.Should, query) for query in found])

    def filters(self, request: SearchRequest) -> dict[str, Query]:
        """One query for each filter the request sets, by the facet it belongs to."""
        filters: dict[str, Query] = {}
        for field, value in (("category", request.category), ("brand", request.brand), ("in_stock", request.in_stock)):
            if value is not None:
                filters[field] = Query.term_query(self.schema, field, value, index_option="basic")
        if request.price_min is not None or request.price_max is not None:
            filters["price"] = self._between("price", request.price_min, request.price_max)
        if request.rating_min is not None:
            filters["rating"] = self._between("rating", rating_units(request.rating_min), None)
        return filters

    def beyond(self, field: str, key: int, descending: bool) -> Query:
        """What comes after a sort key."""
        if descending:
            return Query.range_query(self.schema, field, FieldType.Unsigned, upper_bound=key, include_upper=False)
        return Query.range_query(self.schema, field, FieldType.Unsigned, lower_bound=key, include_lower=False)

    def beginning(self, words: Iterable[str], completions: list[str]) -> Query:
        """Products whose names have all the stems, and names or brand one of the whole words."""
        stems = [self._slot(((stem,),), "name") for stem in words]
        return all_of([*stems, Query.term_set_query(self.schema, "word", completions)])

    def _between(self, field: str, lowest: int | None, highest: int | None) -> Query:
        low, high = max(0, lowest or 0), LARGEST if highest is None else min(highest, LARGEST)
        if high < low:
            return Query.empty_query()
        return Query.range_query(self.schema, field, FieldType.Unsigned, lower_bound=low, upper_bound=high)

    def _words(self, plan: Plan, *fields: str) -> Query:
        slots = [self._slot(slot, *fields) for slot in plan.slots]
        if plan.at_least is None:
            return all_of(slots)
        return Query.boolean_query([(Occur.Should, slot) for slot in slots], minimum_number_should_match=plan.at_least)

    def _slot(self, alternatives: tuple[Phrase, ...], *fields: str) -> Query:
        found = [self._phrase(phrase, field) for phrase in alternatives for field in fields]
        return found[0] if len(found) == 1 else Query.boolean_query([(Occur.Should, query) for query in found])

    def _phrase(self, phrase: Phrase, field: str) -> Query:
        return all_of([Query.term_query(self.schema, field, stem, index_option="basic") for stem in phrase])


def all_of(queries: list[Query], but_not: Query | None = None) -> Query:
    if not queries:
        return Query.all_query()
    if len(queries) == 1 and but_not is None:
        return queries[0]
    refused = [] if but_not is None else [(Occur.MustNot, but_not)]
    return Query.boolean_query([(Occur.Must, query) for query in queries] + refused)


def others(filters: Mapping[str, Query], facet: str) -> list[Query]:
    """The filters that a facet is counted under."""
    return [query for name, query in filters.items() if name != facet]
