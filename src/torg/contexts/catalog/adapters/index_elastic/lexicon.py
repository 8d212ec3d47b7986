"""What the index knows of words that nobody finds anything by: asked for in one request, only when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import Any

import msgspec

from torg.contexts.catalog.adapters.index_common.mistakes import Guess, allowed_mistakes, edit_distance, likeliest
from torg.contexts.catalog.adapters.index_common.planning import COMPLETIONS
from torg.contexts.catalog.adapters.index_elastic.facets import Bucket, Buckets
from torg.contexts.catalog.adapters.index_elastic.queries import with_word

FIELDS = ("kind_word", "word")  # a word in both counts as often as it is in names
MOST_NEAR = 50  # words near a mistyped one that are looked at


class _Option(msgspec.Struct, frozen=True):
    text: str
    freq: int


class _Suggested(msgspec.Struct, frozen=True):
    options: list[_Option]


class _Known(msgspec.Struct, frozen=True):
    """Whether a word is found at all, and how often those words are that begin so, or that were named."""

    doc_count: int = 0
    words: Buckets = Buckets()
    buckets: list[Bucket] = []


class Words(msgspec.Struct, frozen=True):
    """The answer to `question`."""

    aggregations: dict[str, _Known]
    suggest: dict[str, list[_Suggested]] = {}


class Lexicon:
    """Answers the planner about some words."""

    def __init__(self, answer: Words, words: Sequence[str]) -> None:
        self._place = {word: at for at, word in reversed(list(enumerate(words)))}
        self._answer = answer
        self._frequency: dict[str, int] = {}
        for at in self._place.values():
            self._learn(at)
        for field in FIELDS:
            for bucket in answer.aggregations[f"{field}s"].buckets if f"{field}s" in answer.aggregations else ():
                self._note(bucket.key, bucket.doc_count, field)

    def knows(self, word: str) -> bool:
        return self._answer.aggregations[f"any{self._place[word]}"].doc_count > 0

    def frequency(self, word: str) -> int:
        return self._frequency.get(word, 0)

    def completions(self, beginning: str, limit: int) -> list[str]:
        return nlargest(limit, sorted(self._completions(self._place[beginning])), key=self._frequency.__getitem__)

    def guesses(self, word: str, limit: int) -> list[Guess]:
        mistakes = allowed_mistakes(word)
        near = ((other, edit_distance(word, other, mistakes)) for other in sorted(self._near(self._place[word])) if other != word)
        return likeliest(word, [(other, distance) for other, distance in near if distance <= mistakes], self._frequency, limit)

    def _learn(self, at: int) -> None:
        """How frequent the words are that this one brought up."""
        for field in FIELDS:
            for bucket in self._words(field, at):
                self._note(bucket.key, bucket.doc_count, field)
            for option in self._options(field, at):
                self._note(option.text, option.freq, field)

    def _note(self, word: str, count: int, field: str) -> None:
        if len(word) > 1 and word.isalpha() and (field == FIELDS[-1] or word not in self._frequency):
            self._frequency[word] = count

    def _completions(self, at: int) -> set[str]:
        return {bucket.key for field in FIELDS for bucket in self._words(field, at)} & self._frequency.keys()

    def _near(self, at: int) -> set[str]:
        return {option.text for field in FIELDS for option in self._options(field, at)} & self._frequency.keys()

    def _words(self, field: str, at: int) -> Sequence[Bucket]:
        known = self._answer.aggregations.get(f"{field}{at}")
        return known.words.buckets if known else ()

    def _options(self, field: str, at: int) -> Sequence[_Option]:
        return [option for entry in self._answer.suggest.get(f"{field}{at}", ()) for option in entry.options]


def question(words: Sequence[str], others: Sequence[str], spellings: Sequence[str]) -> dict[str, Any]:
    """What to ask: of `words` all, of `others` whether and how often they are known, of `spellings` only how often."""
    asked: dict[str, Any] = {}
    suggest: dict[str, Any] = {}
    named = list(dict.fromkeys([*others, *spellings]))
    for field in FIELDS if named else ():
        asked[f"{field}s"] = {"terms": {"field": field, "include": named, "size": len(named)}}
    for at, word in enumerate([*words, *others]):
        asked[f"any{at}"] = {"filter": with_word("everything", word)}
        for field in FIELDS if at < len(words) else ():
            asked[f"{field}{at}"] = _completed(field, word)
            if allowed_mistakes(word):
                suggest[f"{field}{at}"] = _corrected(field, word)
    return {"size": 0, "aggs": asked, **({"suggest": suggest} if suggest else {})}


def _completed(field: str, word: str) -> dict[str, Any]:
    """The most frequent words that begin so; words are only letters or only figures, so nothing of them means something in the expression."""
    words = {"terms": {"field": field, "include": f"{word}.*", "size": COMPLETIONS}}
    return {"filter": {"prefix": {field: word}}, "aggs": {"words": words}}


def _corrected(field: str, word: str) -> dict[str, Any]:
    """Words near this one, also when it is one itself, however frequent."""
    likeness = {"max_edits": allowed_mistakes(word), "prefix_length": 0, "min_word_length": 1, "accuracy": 0.1, "string_distance": "damerau_levenshtein"}
    bounds = {"suggest_mode": "always", "size": MOST_NEAR, "shard_size": MOST_NEAR, "max_inspections": 1, "max_term_freq": 1 << 30, "sort": "frequency"}
    return {"text": word, "term": {"field": field, **likeness, **bounds}}
