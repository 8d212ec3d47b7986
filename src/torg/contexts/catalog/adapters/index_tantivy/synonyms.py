"""Staff-edited synonyms: groups of words or phrases that mean the same, matched by their stems."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torg.contexts.catalog.adapters.index_tantivy.words import Stemmer, words_of

Phrase = tuple[str, ...]


class Synonyms:
    """For each phrase all phrases that may stand for it, itself first."""

    def __init__(self, groups: Iterable[Sequence[str]], stemmer: Stemmer) -> None:
        self._same: dict[Phrase, list[Phrase]] = {}
        for group in groups:
            self._add([tuple(stemmer.stems(words)) for words in map(words_of, group) if words])
        self._longest = max(map(len, self._same), default=1)

    def slots(self, stems: Sequence[str]) -> list[tuple[Phrase, ...]]:
        """Splits a query into its words and known phrases (the longest first), each with all it may be called."""
        slots: list[tuple[Phrase, ...]] = []
        at = 0
        while at < len(stems):
            phrase = self._longest_at(stems, at)
            slots.append((phrase, *(same for same in self._same.get(phrase, ()) if same != phrase)))
            at += len(phrase)
        return slots

    def _longest_at(self, stems: Sequence[str], at: int) -> Phrase:
        for length in range(min(self._longest, len(stems) - at), 1, -1):
            phrase = tuple(stems[at : at + length])
            if phrase in self._same:
                return phrase
        return (stems[at],)

    def _add(self, phrases: list[Phrase]) -> None:
        for phrase in phrases:
            known = self._same.setdefault(phrase, [])
            known.extend(other for other in phrases if other != phrase and other not in known)
