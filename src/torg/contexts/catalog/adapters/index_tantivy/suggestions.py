"""Suggestions while typing: past queries, categories, products."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from heapq import nlargest

from torg.contexts.catalog.adapters.index_tantivy.snapshot import Snapshot
from torg.contexts.catalog.adapters.index_tantivy.words import STOP_WORDS, in_other_layout, is_russian, words_of
from torg.contexts.catalog.ports import PastQuery, Suggestion
from torg.kit.values import Language

MOST_QUERIES = 5000
LONGEST_QUERY = 60  # characters
COMPLETIONS = 30
QUERIES_SHOWN = 4
CATEGORIES_SHOWN = 3


class PastQueries:
    """What was asked and how often. When there are too many all counts are halved, so that the fashions of last month fade."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._sorted: list[str] = []

    def note(self, text: str, times: int = 1) -> None:
        query = " ".join(words_of(text))
        if not query or len(query) > LONGEST_QUERY:
            return
        if query not in self._times:
            insort(self._sorted, query)
        self._times[query] = self._times.get(query, 0) + times
        if len(self._times) > MOST_QUERIES:
            self._fade()

    def all(self) -> tuple[PastQuery, ...]:
        return tuple(PastQuery(text, times) for text, times in self._times.items())

    def beginning_with(self, text: str, limit: int) -> list[str]:
        first = bisect_left(self._sorted, text)
        last = bisect_left(self._sorted, text + "\U0010ffff", first)
        return nlargest(limit, self._sorted[first:last], key=self._times.__getitem__)

    def _fade(self) -> None:
        kept = nlargest(MOST_QUERIES * 3 // 4, self._times.items(), key=lambda query: query[1])
        self._times = {query: max(1, times // 2) for query, times in kept}
        self._sorted = sorted(self._times)


def suggestions(snapshot: Snapshot, past: PastQueries, text: str, limit: int) -> tuple[Suggestion, ...]:
    """For the text as typed; if nothing begins so, with the keyboard switched; then with its mistakes corrected."""
    text = text[:LONGEST_QUERY]
    words = words_of(text)
    for reading in (words, words_of(in_other_layout(text)), snapshot.planner.corrected_words(words)):
        if reading and (found := _for_words(snapshot, past, reading, limit)):
            return found
    return ()


def _for_words(snapshot: Snapshot, past: PastQueries, words: list[str], limit: int) -> tuple[Suggestion, ...]:
    queries = [Suggestion(query, "query") for query in past.beginning_with(" ".join(words), QUERIES_SHOWN)]
    categories = list(_categories(snapshot, words))
    room = limit - len(queries) - len(categories)
    products = list(_products(snapshot, words, max(room, 1)))
    found = {(one.kind, one.text.lower()): one for one in (*queries, *categories, *products)}
    return tuple(found.values())[:limit]


def _categories(snapshot: Snapshot, words: list[str]) -> Iterable[Suggestion]:
    """Those with most products, in the language of what is typed."""
    language = Language.RU if is_russian(" ".join(words)) else Language.EN
    found = [(snapshot.searcher.doc_freq("category", id_), id_) for id_ in snapshot.categories.beginning_with(words)]
    for count, id_ in nlargest(CATEGORIES_SHOWN, found):
        if count:
            yield Suggestion(snapshot.categories.name(id_, language), "category", id_)


def _products(snapshot: Snapshot, words: list[str], limit: int) -> Iterable[Suggestion]:
    *complete, beginning = words
    completions = snapshot.vocabulary.completions(beginning, COMPLETIONS)
    if completions:
        stems = snapshot.stemmer.stems([word for word in complete if word not in STOP_WORDS])
        russian = is_russian(" ".join(words))
        for card in snapshot.most_popular(snapshot.queries.beginning(stems, completions), limit):
            yield Suggestion((card.name_ru if russian else "") or card.name, "product", card.id)
