"""Suggestions while typing: past queries, categories, products."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

from torg.contexts.catalog.adapters.index_common.suggesting import CATEGORIES_SHOWN, LONGEST_QUERY, PastQueries, together
from torg.contexts.catalog.adapters.index_common.words import STOP_WORDS, in_other_layout, is_russian, words_of
from torg.contexts.catalog.adapters.index_tantivy.snapshot import Snapshot
from torg.contexts.catalog.ports import Suggestion
from torg.kit.values import Language

BEGINNINGS = 300  # words that may go on from what was typed; two letters begin a few hundred


def suggestions(snapshot: Snapshot, past: PastQueries, text: str, limit: int) -> tuple[Suggestion, ...]:
    """For the text as typed; if nothing begins so, with the keyboard switched; then with its mistakes corrected."""
    text = text[:LONGEST_QUERY]
    words = words_of(text)
    for reading in (words, words_of(in_other_layout(text)), snapshot.planner.corrected_words(words)):
        if reading and (found := _for_words(snapshot, past, reading, limit)):
            return found
    return ()


def _for_words(snapshot: Snapshot, past: PastQueries, words: list[str], limit: int) -> tuple[Suggestion, ...]:
    queries, categories = past.beginning_with(words), list(_categories(snapshot, words))
    room = limit - len(queries) - len(categories)
    return together(limit, queries, categories, _products(snapshot, words, max(room, 1)))


def _categories(snapshot: Snapshot, words: list[str]) -> Iterable[Suggestion]:
    """Those with most products, in the language of what is typed."""
    language = Language.RU if is_russian(" ".join(words)) else Language.EN
    found = [(snapshot.searcher.doc_freq("category", id_), id_) for id_ in snapshot.categories.beginning_with(words)]
    for count, id_ in nlargest(CATEGORIES_SHOWN, found):
        if count:
            yield Suggestion(snapshot.categories.name(id_, language), "category", id_)


def _products(snapshot: Snapshot, words: list[str], limit: int) -> Iterable[Suggestion]:
    *complete, beginning = words
    completions = snapshot.vocabulary.completions(beginning, BEGINNINGS)
    if completions:
        stems = snapshot.stemmer.stems([word for word in complete if word not in STOP_WORDS])
        russian = is_russian(" ".join(words))
        for card in snapshot.most_popular(snapshot.queries.beginning(stems, completions), limit):
            yield Suggestion((card.name_ru if russian else "") or card.name, "product", card.id)
