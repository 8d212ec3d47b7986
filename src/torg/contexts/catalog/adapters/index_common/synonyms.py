"""Staff-edited synonyms: groups of words or phrases that mean the same, matched by their stems."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from torg.contexts.catalog.adapters.index_common.words import meant_words

Phrase = tuple[str, ...]
Terms = Callable[[Sequence[str]], Sequence[str]]
"""What an engine's queries call these words, one for each: their stems, or the words themselves where the engine finds the stems."""


class Synonyms:
    """For each phrase all phrases that may stand for it, itself first, as `terms` of the engine."""

    def __init__(self, groups: Iterable[Sequence[str]], stems: Terms, terms: Terms) -> None:
        self._stems, self._terms = stems, terms
        self._same: dict[Phrase, list[Phrase]] = {}
        self.groups = tuple(tuple(group) for group in groups)
        for group in self.groups:
            self._add([words for words in map(meant_words, group) if words])
        self._longest = max(map(len, self._same), default=1)

    def slots(self, words: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """Splits a query into its words and known phrases (the longest first), each with all it may be called."""
        slots: list[tuple[Phrase, ...]] = []
        stems, terms = self._stems(words), self._terms(words)
        at = 0
        while at < len(stems):
            length = self._longest_at(stems, at)
            own = tuple(terms[at : at + length])
            same = self._same.get(tuple(stems[at : at + length]), ())
            slots.append((own, *(other for other in same if other != own)))
            at += length
        return slots

    def knows(self, word: str) -> bool:
        """Whether anything may stand for this word."""
        return tuple(self._stems([word])) in self._same

    def _longest_at(self, stems: Sequence[str], at: int) -> int:
        for length in range(min(self._longest, len(stems) - at), 1, -1):
            if tuple(stems[at : at + length]) in self._same:
                return length
        return 1

    def _add(self, phrases: Sequence[Sequence[str]]) -> None:
        for phrase in phrases:
            own = tuple(self._stems(phrase))
            known = self._same.setdefault(own, [])
            others = (tuple(self._terms(other)) for other in phrases if tuple(self._stems(other)) != own)
            known.extend(other for other in others if other not in known)
