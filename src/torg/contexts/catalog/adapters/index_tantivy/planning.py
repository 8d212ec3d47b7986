"""From what was typed to what is searched for: known words as they are, else completed, corrected, or as many of them as can be found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from torg.contexts.catalog.adapters.index_tantivy.synonyms import Phrase, Synonyms
from torg.contexts.catalog.adapters.index_tantivy.vocabulary import Guess, Vocabulary
from torg.contexts.catalog.adapters.index_tantivy.words import STOP_WORDS, Stemmer, in_other_layout, words_of

MOST_WORDS = 10
MOST_CHARACTERS = 300
COMPLETIONS = 30
GUESSES = 4
MOST_READINGS = 32
MUCH_MORE_FREQUENT = 10  # a word that exists is only doubted for one this many times as frequent


@dataclass(frozen=True)
class Plan:
    """What to look for: every slot in one of its phrases (or `at_least` so many slots); `phrase` is what ranks first when adjacent."""

    slots: tuple[tuple[Phrase, ...], ...]
    phrase: Phrase = ()
    at_least: int | None = None
    corrected: str | None = None


@dataclass(frozen=True)
class Planner:
    """Plans against one state of the index: `count` tells how many products a plan finds, `is_known` whether any has the stem."""

    stemmer: Stemmer
    vocabulary: Vocabulary
    synonyms: Synonyms
    is_known: Callable[[str], bool]
    count: Callable[[Plan], int]

    def plan(self, text: str) -> Plan | None:
        """None when there is no text; text without words finds nothing."""
        words = words_of(text[:MOST_CHARACTERS])[:MOST_WORDS]
        if not words:
            return Plan(slots=()) if text.strip() else None
        plain = self._plain(words)
        if self.count(plain):
            return plain
        return self._completed(words) or self._switched(text) or self._corrected(words) or self._relaxed(plain) or plain

    def knows(self, word: str) -> bool:
        stem = self.stemmer.stem(word)
        return self.is_known(stem) or len(self.synonyms.slots([stem])[0]) > 1

    def corrected_words(self, words: list[str]) -> list[str]:
        """Each unknown word replaced by the likeliest known one."""
        return [word if self.knows(word) else next((guess.word for guess in self.vocabulary.guesses(word, 1)), word) for word in words]

    def _plain(self, words: list[str]) -> Plan:
        stems = self.stemmer.stems([word for word in words if word not in STOP_WORDS] or words)
        return Plan(slots=tuple(self.synonyms.slots(stems)), phrase=tuple(stems))

    def _completed(self, words: list[str]) -> Plan | None:
        """The last word is still being typed."""
        *complete, beginning = words
        if len(beginning) < 2 or self.knows(beginning):
            return None
        stems = dict.fromkeys(self.stemmer.stems(self.vocabulary.completions(beginning, COMPLETIONS)))
        whole = self._plain(complete).slots if complete else ()
        plan = Plan(slots=(*whole, tuple((stem,) for stem in stems)))
        return plan if stems and self.count(plan) else None

    def _switched(self, text: str) -> Plan | None:
        """Typed with the keyboard in the other language."""
        words = words_of(in_other_layout(text[:MOST_CHARACTERS]))[:MOST_WORDS]
        if not words or not all(word in self.vocabulary or self.knows(word) for word in words if word not in STOP_WORDS):
            return None
        plan = self._plain(words)
        return replace(plan, corrected=" ".join(words)) if self.count(plan) else None

    def _corrected(self, words: list[str]) -> Plan | None:
        """Of the readings that find anything the one with the fewest mistakes, of those the one that finds most."""
        best: tuple[float, int] | None = None
        chosen: Plan | None = None
        for cost, reading in self._readings(words):
            if best is not None and cost > best[0]:
                break
            plan = replace(self._plain(reading), corrected=" ".join(reading))
            found = self.count(plan)
            if found and (best is None or found > best[1]):
                best, chosen = (cost, found), plan
        return chosen

    def _readings(self, words: list[str]) -> Iterator[tuple[float, list[str]]]:
        choices = [self._choices(word) for word in words]
        while _combinations(choices) > MOST_READINGS:
            longest = max(choices, key=len)
            longest.pop()
        readings = [(sum(guess.cost for guess in reading), [guess.word for guess in reading]) for reading in product(*choices)]
        yield from (reading for reading in sorted(readings, key=lambda reading: reading[0]) if reading[1] != words)

    def _choices(self, word: str) -> list[Guess]:
        """Itself when it is known, and what it may be a mistake for."""
        guesses = self.vocabulary.guesses(word, GUESSES) if word not in STOP_WORDS else []
        if not self.knows(word):
            return guesses or self._finished(word) or [Guess(word, 0.0)]
        doubt = MUCH_MORE_FREQUENT * max(1, self.vocabulary.frequency(word))
        return [Guess(word, 0.0), *(guess for guess in guesses if guess.cost <= 1 and self.vocabulary.frequency(guess.word) >= doubt)]

    def _finished(self, word: str) -> list[Guess]:
        """A word cut short in the midst of a query."""
        return [Guess(whole, 1.0) for whole in self.vocabulary.completions(word, GUESSES)] if len(word) > 2 else []

    def _relaxed(self, plan: Plan) -> Plan | None:
        """All slots but one, or any of them."""
        for at_least in sorted({len(plan.slots) - 1, 1} - {0}, reverse=True) if len(plan.slots) > 1 else ():
            relaxed = replace(plan, phrase=(), at_least=at_least)
            if self.count(relaxed):
                return relaxed
        return None


def _combinations(choices: Sequence[Sequence[Guess]]) -> int:
    total = 1
    for choice in choices:
        total *= len(choice)
    return total
