"""Suggestions while typing: what was searched for before, and how that goes together with categories and products."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from heapq import nlargest

from torg.contexts.catalog.adapters.index_common.words import words_of
from torg.contexts.catalog.ports import PastQuery, Suggestion

MOST_QUERIES = 5000
LONGEST_QUERY = 60  # characters
QUERIES_SHOWN = 4
CATEGORIES_SHOWN = 3


class PastQueries:
    """What was asked and how often, by this process or another. When there are too many all counts are halved, so that the fashions of last month fade."""

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._sorted: list[str] = []
        self._fresh: dict[str, int] = {}

    def note(self, text: str) -> None:
        """Counts it once more."""
        query = " ".join(words_of(text))
        if query and len(query) <= LONGEST_QUERY:
            self._count(query, 1)
            self._fresh[query] = self._fresh.get(query, 0) + 1

    def take_fresh(self) -> tuple[PastQuery, ...]:
        """What was noted since this was asked last."""
        fresh, self._fresh = self._fresh, {}
        return tuple(PastQuery(text, times) for text, times in fresh.items())

    def replace(self, queries: Iterable[PastQuery]) -> None:
        """Knows these from now on, and what was noted but not taken yet."""
        self._times = {}
        self._sorted = []
        for query in (*queries, *(PastQuery(text, times) for text, times in self._fresh.items())):
            self._count(query.text, query.times)

    def all(self) -> tuple[PastQuery, ...]:
        return tuple(PastQuery(text, times) for text, times in self._times.items())

    def beginning_with(self, words: Sequence[str]) -> list[Suggestion]:
        """The most frequent ones."""
        text = " ".join(words)
        first = bisect_left(self._sorted, text)
        last = bisect_left(self._sorted, text + "\U0010ffff", first)
        return [Suggestion(query, "query") for query in nlargest(QUERIES_SHOWN, self._sorted[first:last], key=self._times.__getitem__)]

    def _count(self, query: str, times: int) -> None:
        if query not in self._times:
            insort(self._sorted, query)
        self._times[query] = self._times.get(query, 0) + times
        if len(self._times) > MOST_QUERIES:
            self._fade()

    def _fade(self) -> None:
        kept = nlargest(MOST_QUERIES * 3 // 4, self._times.items(), key=lambda query: query[1])
        self._times = {query: max(1, times // 2) for query, times in kept}
        self._sorted = sorted(self._times)


def together(limit: int, *kinds: Iterable[Suggestion]) -> tuple[Suggestion, ...]:
    """One after the other, each text once of its kind."""
    found = {(one.kind, one.text.lower()): one for suggestions in kinds for one in suggestions}
    return tuple(found.values())[:limit]
