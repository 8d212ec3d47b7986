"""One state of the index, as readers see it: a searcher, the words it knows, the names of categories, and what was found out before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace
from tantivy import Order, Query, Searcher

from torg.contexts.catalog.adapters.index_common.categories import Categories
from torg.contexts.catalog.adapters.index_common.facet_values import Counted
from torg.contexts.catalog.adapters.index_common.mistakes import Guess
from torg.contexts.catalog.adapters.index_common.planning import Plan, Planner, asked_words
from torg.contexts.catalog.adapters.index_common.synonyms import Synonyms
from torg.contexts.catalog.adapters.index_common.words import Stemmer
from torg.contexts.catalog.adapters.index_tantivy.facets import counted
from torg.contexts.catalog.adapters.index_tantivy.fields import SORT_FIELDS, Place, card_of
from torg.contexts.catalog.adapters.index_tantivy.generation import Generation
from torg.contexts.catalog.adapters.index_tantivy.queries import Queries, all_of
from torg.contexts.catalog.adapters.index_tantivy.vocabulary import Vocabulary
from torg.contexts.catalog.ports import ProductCard, SearchRequest
from torg.kit.values import Language

PLANS_KEPT = 1000
COUNTS_KEPT = 200


class Hit(NamedTuple):
    """A product and its place in the order."""

    tier: int
    key: int
    card: ProductCard


class Words(NamedTuple):
    """What changes with the texts only, and is costly to gather."""

    categories: Categories
    vocabulary: Vocabulary

    @classmethod
    def of(cls, generation: Generation) -> Words:
        fields = ("kind_word", "word")  # a word in both counts as often as it is in names
        words = [pair for field in fields for pair in generation.searcher.terms_with_prefix(field, "")]
        return cls(Categories(generation.names.categories), Vocabulary(words))


class Lexicon:
    """The words as one searcher knows them."""

    def __init__(self, vocabulary: Vocabulary, searcher: Searcher, stemmer: Stemmer) -> None:
        self._searcher, self._stemmer = searcher, stemmer
        self.frequency = vocabulary.frequency
        self._vocabulary = vocabulary

    def knows(self, word: str) -> bool:
        return self._searcher.doc_freq("everything", self._stemmer.stem(word)) > 0

    def completions(self, beginning: str, limit: int) -> list[str]:
        return self._vocabulary.completions(beginning, limit)

    def guesses(self, word: str, limit: int) -> list[Guess]:
        return self._vocabulary.guesses(word, limit)


class Snapshot:
    """Answers from one state. Its caches belong to the event loop; the rest of it never changes."""

    def __init__(self, generation: Generation, words: Words, synonyms: Synonyms, stemmer: Stemmer, searcher: Searcher | None = None) -> None:
        self.searcher = searcher or generation.searcher
        self.queries = Queries(generation.schema)
        self.categories, self.vocabulary = self.words = words
        self.synonyms = synonyms
        self.stemmer = stemmer
        self.planner = Planner(Lexicon(words.vocabulary, self.searcher, stemmer), synonyms, stemmer.stems)
        self.plan = lru_cache(PLANS_KEPT)(self._plan)
        self.matches = lru_cache(PLANS_KEPT)(self._found)
        self._generation = generation
        self._counted: dict[tuple[Plan | None, SearchRequest], Counted] = {}

    def with_synonyms(self, synonyms: Synonyms) -> Snapshot:
        return Snapshot(self._generation, self.words, synonyms, self.stemmer, self.searcher)

    def page(self, plan: Plan | None, request: SearchRequest, place: Place | None) -> list[Hit]:
        """The page's products and, if there is more, one beyond it."""
        filters = list(self.queries.filters(request).values())
        matching = [[tier] for tier in self.queries.tiers(plan, self._rarest(plan))] if plan and request.sort == "relevance" else []
        tiers = matching or [self.queries.matching(plan)]
        hits: list[Hit] = []
        for tier in range(place.tier if place else 0, len(tiers)):
            wanted = request.limit + 1 - len(hits)
            if wanted == 0:
                break
            last = place.key if place and place.tier == tier else None
            before = tiers[tier - 1][0] if tier else None
            hits += [Hit(tier, key, card) for key, card in self._ordered([*tiers[tier], *filters], before, request.sort, last, wanted)]
        return hits

    def count(self, plan: Plan | None, request: SearchRequest) -> Counted:
        """Counts anew; a reader's thread may do it."""
        kept = self.categories.around(request.category) if request.category else frozenset()
        return counted(self.searcher, self.queries.matching(plan), self.queries.filters(request), self._generation.names, kept)

    def counted(self, plan: Plan | None, request: SearchRequest) -> Counted | None:
        """What was counted before for the same words and filters."""
        return self._counted.get((plan, _only_filters(request)))

    def remember(self, plan: Plan | None, request: SearchRequest, answer: Counted) -> None:
        if len(self._counted) >= COUNTS_KEPT:
            del self._counted[next(iter(self._counted))]
        self._counted[plan, _only_filters(request)] = answer

    def most_popular(self, query: Query, limit: int) -> list[ProductCard]:
        return [card for _, card in self._ordered([query], None, "-popularity", None, limit)]

    def _ordered(self, queries: Sequence[Query], but_not: Query | None, sort: str, last: int | None, limit: int) -> list[tuple[int, ProductCard]]:
        field, descending = SORT_FIELDS[sort], sort != "price"
        beyond = [] if last is None else [self.queries.beyond(field, last, descending)]
        query = all_of([*queries, *beyond], but_not)
        order = Order.Desc if descending else Order.Asc
        hits = self.searcher.search(query, limit, count=False, order_by_field=field, order=order).hits
        return [(int(key), card_of(bytes(self.searcher.doc(address).get_first("source") or b""))) for key, address in hits]

    def _plan(self, text: str) -> Plan | None:
        """None when there is no text; text without words finds nothing."""
        if not asked_words(text):
            return Plan(slots=()) if text.strip() else None
        plain: Plan | None = None
        for readings in self.planner.readings(text):
            plain = plain or readings[0]
            if readings and self.matches(best := max(readings, key=self.matches)):
                return best
        return plain

    def _found(self, plan: Plan | None) -> int:
        query = Query.const_score_query(all_of(self.queries.matching(plan)), 1.0)
        return self.searcher.search(query, 1).count  # type: ignore[attr-defined, no-any-return]  # not in the stub

    def _rarest(self, plan: Plan) -> int | None:
        """The slot that the fewest names have, if any have it."""
        counts = [(max(self.searcher.doc_freq("name", phrase[0]) for phrase in slot), at) for at, slot in enumerate(plan.slots)]
        return min(((count, at) for count, at in counts if count), default=(0, None))[1]


def _only_filters(request: SearchRequest) -> SearchRequest:
    return replace(request, text="", sort="relevance", limit=1, cursor=None, language=Language.EN)
