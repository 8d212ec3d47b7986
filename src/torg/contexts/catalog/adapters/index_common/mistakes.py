"""Typing mistakes: how many are allowed in a word, and how far one word is from another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def allowed_mistakes(word: str) -> int:
    if len(word) < SHORTEST_CORRECTED or not word.isalpha():
        return 0
    return 2 if len(word) >= TWO_MISTAKES_FROM else 1


def likeliest(word: str, near: Iterable[tuple[str, int]], frequency: Mapping[str, int], limit: int) -> list[Guess]:
    """Of words so many mistakes away the nearest, and of equally near ones the most frequent."""
    found = [Guess(other, _cost(word, other, distance)) for other, distance in near]
    return sorted(found, key=lambda guess: (guess.cost, -frequency[guess.word], guess.word))[:limit]


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


def _cost(word: str, near: str, distance: int) -> float:
    if _without_doubles(word) == _without_doubles(near):
        return DOUBLED_LETTERS
    return distance + (WRONG_FIRST_LETTER if word[0] != near[0] else 0.0)


def _without_doubles(word: str) -> str:
    return "".join(letter for letter, _ in groupby(word))
