"""The catalogue's own words: completing a beginning, correcting a typing mistake."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from heapq import nlargest

from torg.contexts.catalog.adapters.index_common.mistakes import Guess, allowed_mistakes, edit_distance, likeliest


class Vocabulary:
    """Words with the number of products that use them.

    Mistakes are found by a plain scan: words of about the same length whose letters differ by no more than the mistakes allow
    (one edit changes the set of letters by two at most), then the true distance. With 10,000 words that is under a millisecond, and needs
    neither an index of deletions nor memory for it.
    """

    def __init__(self, frequencies: Iterable[tuple[str, int]]) -> None:
        self._frequency = {word: count for word, count in frequencies if len(word) > 1 and word.isalpha()}
        self._sorted = sorted(self._frequency)
        self._by_length: dict[int, list[tuple[int, str]]] = {}
        for word in self._sorted:
            self._by_length.setdefault(len(word), []).append((_letters(word), word))

    def __len__(self) -> int:
        return len(self._sorted)

    def frequency(self, word: str) -> int:
        return self._frequency.get(word, 0)

    def completions(self, beginning: str, limit: int) -> list[str]:
        """The most frequent words that begin so."""
        first = bisect_left(self._sorted, beginning)
        last = bisect_left(self._sorted, beginning + "\U0010ffff", first)
        return nlargest(limit, self._sorted[first:last], key=self._frequency.__getitem__)

    def guesses(self, word: str, limit: int) -> list[Guess]:
        """The likeliest words for a mistyped one: nearest first, then most frequent; itself excluded."""
        return likeliest(word, self._near(word, allowed_mistakes(word)), self._frequency, limit)

    def _near(self, word: str, mistakes: int) -> Iterable[tuple[str, int]]:
        letters = _letters(word)
        for length in range(len(word) - mistakes, len(word) + mistakes + 1) if mistakes else ():
            for other_letters, other in self._by_length.get(length, ()):
                if (letters ^ other_letters).bit_count() <= 2 * mistakes and other != word:
                    distance = edit_distance(word, other, mistakes)
                    if distance <= mistakes:
                        yield other, distance


def _letters(word: str) -> int:
    """A set of letters as bits; a few letters share one, which only lets more through to the true distance."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 59)
    return bits
