"""The catalogue's own words: completing a beginning, correcting a typing mistake."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest
from itertools import groupby

SHORTEST_CORRECTED = 3
TWO_MISTAKES_FROM = 6  # letters
WRONG_FIRST_LETTER = 0.5  # people mistype the first letter less often …
DOUBLED_LETTERS = 0.5  # … and get doubled letters wrong more often


@dataclass(frozen=True)
class Guess:
    """A word that may have been meant, and how far off what was typed is."""

    word: str
    cost: float


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

    def __contains__(self, word: str) -> bool:
        return word in self._frequency

    def frequency(self, word: str) -> int:
        return self._frequency.get(word, 0)

    def completions(self, beginning: str, limit: int) -> list[str]:
        """The most frequent words that begin so."""
        first = bisect_left(self._sorted, beginning)
        last = bisect_left(self._sorted, beginning + "\U0010ffff", first)
        return nlargest(limit, self._sorted[first:last], key=self._frequency.__getitem__)

    def guesses(self, word: str, limit: int) -> list[Guess]:
        """The likeliest words for a mistyped one: nearest first, then most frequent; itself excluded."""
        mistakes = _allowed_mistakes(word)
        found = [Guess(near, _cost(word, near, distance)) for near, distance in self._near(word, mistakes)]
        return sorted(found, key=lambda guess: (guess.cost, -self._frequency[guess.word]))[:limit]

    def _near(self, word: str, mistakes: int) -> Iterable[tuple[str, int]]:
        letters = _letters(word)
        for length in range(len(word) - mistakes, len(word) + mistakes + 1) if mistakes else ():
            for other_letters, other in self._by_length.get(length, ()):
                if (letters ^ other_letters).bit_count() <= 2 * mistakes and other != word:
                    distance = edit_distance(word, other, mistakes)
                    if distance <= mistakes:
                        yield other, distance


def edit_distance(one: str, other: str, at_most: int) -> int:
    """Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours; `at_most` + 1 when it is more."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        last, row = row, [i]
        for j, other_letter in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other_letter))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == other_letter:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        if min(row) > at_most:
            return at_most + 1
        before = last
    return min(row[-1], at_most + 1)


def _allowed_mistakes(word: str) -> int:
    if len(word) < SHORTEST_CORRECTED or not word.isalpha():
        return 0
    return 2 if len(word) >= TWO_MISTAKES_FROM else 1


def _cost(word: str, near: str, distance: int) -> float:
    if _without_doubles(word) == _without_doubles(near):
        return DOUBLED_LETTERS
    return distance + (WRONG_FIRST_LETTER if word[0] != near[0] else 0.0)


def _without_doubles(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))


def _letters(word: str) -> int:
    """A set of letters as bits; a few letters share one, which only lets more through to the true distance."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) % 59)
    return bits
