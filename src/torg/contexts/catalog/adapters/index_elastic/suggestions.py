"""Suggestions while typing: past queries, categories, products."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest

from torg.contexts.catalog.adapters.index_common.planning import Planner
from torg.contexts.catalog.adapters.index_common.suggesting import CATEGORIES_SHOWN, LONGEST_QUERY, PastQueries, together
from torg.contexts.catalog.adapters.index_common.words import STOP_WORDS, in_other_layout, is_russian, words_of
from torg.contexts.catalog.adapters.index_elastic import queries
from torg.contexts.catalog.adapters.index_elastic.searching import Finder, Names
from torg.contexts.catalog.ports import Suggestion
from torg.kit.values import Language


async def suggestions(finder: Finder, past: PastQueries, text: str, limit: int) -> tuple[Suggestion, ...]:
    """For the text as typed; if nothing begins so, with the keyboard switched; then with its mistakes corrected."""
    text = text[:LONGEST_QUERY]
    words = words_of(text)
    for reading in (words, words_of(in_other_layout(text))):
        if reading and (found := await _for_words(finder, past, reading, limit)):
            return found
    if not words:
        return ()
    corrected = Planner(await finder.lexicon(words), finder.synonyms, tuple).corrected_words(words)
    return await _for_words(finder, past, corrected, limit) if corrected != words else ()


async def _for_words(finder: Finder, past: PastQueries, words: list[str], limit: int) -> tuple[Suggestion, ...]:
    queries, categories = past.beginning_with(words), list(_categories(await finder.categories(), words))
    room = limit - len(queries) - len(categories)
    return together(limit, queries, categories, await _products(finder, words, max(room, 1)))


def _categories(names: Names, words: list[str]) -> Iterable[Suggestion]:
    """Those with most products, in the language of what is typed."""
    language = Language.RU if is_russian(" ".join(words)) else Language.EN
    found = [(names.counts.get(id_, 0), id_) for id_ in names.categories.beginning_with(words)]
    for _, id_ in nlargest(CATEGORIES_SHOWN, found):
        yield Suggestion(names.categories.name(id_, language), "category", id_)


async def _products(finder: Finder, words: list[str], limit: int) -> list[Suggestion]:
    *complete, last = words
    cards = await finder.most_popular(queries.beginning([word for word in complete if word not in STOP_WORDS], last), limit)
    russian = is_russian(" ".join(words))
    return [Suggestion((card.name_ru if russian else "") or card.name, "product", card.id) for card in cards]
