"""From what was typed to what is searched for: known words as they are, else completed, corrected, or as many of them as can be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from typing import Protocol

from torg.contexts.catalog.adapters.index_common.mistakes import Guess
from torg.contexts.catalog.adapters.index_common.synonyms import Phrase, Synonyms, Terms
from torg.contexts.catalog.adapters.index_common.words import STOP_WORDS, in_other_layout, in_russian_letters, words_of

MOST_WORDS = 10
MOST_CHARACTERS = 300
COMPLETIONS = 30
GUESSES = 4
MOST_READINGS = 32
MUCH_MORE_FREQUENT = 10  # a word that exists is only doubted for one this many times as frequent


@dataclass(frozen=True)
class Plan:
    """What to look for: every slot in one of its phrases (or `at_least` so many slots); `phrase` is what ranks first when adjacent. `understood`: if it finds
    anything, all of its words are the catalogue's own."""

    slots: tuple[tuple[Phrase, ...], ...]
    phrase: Phrase = ()
    at_least: int | None = None
    corrected: str | None = None
    understood: bool = True


class Lexicon(Protocol):
    """What is known of words: those of names, brands and categories, small, unstemmed."""

    def knows(self, word: str) -> bool:
        """Whether any product has the word, in whatever form."""
        ...

    def frequency(self, word: str) -> int:
        """How many products have just this word in their names or brand, or in their categories' names only."""
        ...

    def completions(self, beginning: str, limit: int) -> list[str]:
        """The most frequent words that begin so."""
        ...

    def guesses(self, word: str, limit: int) -> list[Guess]:
        """The likeliest words for a mistyped one: nearest first, then most frequent; itself excluded."""
        ...


def asked_words(text: str) -> list[str]:
    """The words that are looked at."""
    return words_of(text[:MOST_CHARACTERS])[:MOST_WORDS]


def switched_words(text: str) -> list[str]:
    """What was typed if the keyboard was in the other language."""
    return asked_words(in_other_layout(text[:MOST_CHARACTERS]))


@dataclass(frozen=True)
class Planner:
    """Plans for one engine, against one state of its index."""

    lexicon: Lexicon
    synonyms: Synonyms
    terms: Terms

    def readings(self, text: str) -> Iterator[Sequence[Plan]]:
        """What may have been meant, likeliest first. Those that come together are equally likely: the one that finds most is meant, if any finds something;
        else look on. When none finds anything the first of all is meant."""
        words = asked_words(text)
        plain = plain_plan(words, self.synonyms, self.terms)
        yield [plain]
        yield [*self._completed(words), *self._respelt(words, exactly=True)]
        yield self._switched(switched_words(text))
        yield from self._corrected(words)
        yield self._respelt(words, exactly=False)
        yield from self._relaxed(plain)

    def knows(self, word: str) -> bool:
        return self.lexicon.knows(word) or self.synonyms.knows(word)

    def corrected_words(self, words: list[str]) -> list[str]:
        """Each unknown word replaced by the likeliest known one."""
        return [word if self.knows(word) else next((guess.word for guess in self.lexicon.guesses(word, 1)), word) for word in words]

    def _plain(self, words: Sequence[str]) -> Plan:
        return plain_plan(words, self.synonyms, self.terms)

    def _completed(self, words: list[str]) -> list[Plan]:
        """The last word is still being typed."""
        *complete, beginning = words
        if len(beginning) < 2 or self.knows(beginning):
            return []
        completions = self.lexicon.completions(beginning, COMPLETIONS)
        whole = self._plain(complete).slots if complete else ()
        last = tuple((term,) for term in dict.fromkeys(self.terms(completions)))
        return [Plan(slots=(*whole, last), understood=False)] if completions else []

    def _switched(self, words: list[str]) -> list[Plan]:
        """Typed with the keyboard in the other language."""
        if not words or not all(self.lexicon.frequency(word) or self.knows(word) for word in words if word not in STOP_WORDS):
            return []
        return [replace(self._plain(words), corrected=" ".join(words))]

    def _respelt(self, words: list[str], exactly: bool) -> list[Plan]:
        """Russian in Latin letters: the words that nobody knows, or all that may be Russian (pasta is a word of both)."""
        unknown = {word for word in words if word not in STOP_WORDS and not self.knows(word)}
        spelt = {word: self._in_russian(word, exactly) for word in words if word not in STOP_WORDS}
        if not unknown or not all(spelt[word] for word in unknown):
            return []
        some = [spelt[word] if word in unknown else word for word in words]
        every = [spelt.get(word) or word for word in words]
        return [replace(self._plain(respelt), corrected=" ".join(respelt)) for respelt in ([some] if some == every else [some, every])]

    def _in_russian(self, word: str, exactly: bool) -> str:
        """The spelling that is known, else the likeliest one without its mistakes; nothing when there is neither."""
        spellings = in_russian_letters(word)
        if known := [spelling for spelling in spellings if self.lexicon.frequency(spelling)]:
            return max(known, key=self.lexicon.frequency)
        guesses = self.lexicon.guesses(spellings[0], 1) if spellings and not exactly else []
        return guesses[0].word if guesses else ""

    def _corrected(self, words: list[str]) -> Iterator[list[Plan]]:
        """With the fewest mistakes first."""
        for _, equals in groupby(self._corrections(words), key=lambda reading: reading[0]):
            yield [replace(self._plain(reading), corrected=" ".join(reading)) for _, reading in equals]

    def _corrections(self, words: list[str]) -> list[tuple[float, list[str]]]:
        choices = [self._choices(word) for word in words]
        while _combinations(choices) > MOST_READINGS:
            longest = max(choices, key=len)
            longest.pop()
        readings = [(sum(guess.cost for guess in reading), [guess.word for guess in reading]) for reading in product(*choices)]
        return [reading for reading in sorted(readings, key=lambda reading: reading[0]) if reading[1] != words]

    def _choices(self, word: str) -> list[Guess]:
        """Itself when it is known, and what it may be a mistake for."""
        guesses = self.lexicon.guesses(word, GUESSES) if word not in STOP_WORDS else []
        if not self.knows(word):
            return guesses or self._finished(word) or [Guess(word, 0.0)]
        doubt = MUCH_MORE_FREQUENT * max(1, self.lexicon.frequency(word))
        return [Guess(word, 0.0), *(guess for guess in guesses if guess.cost <= 1 and self.lexicon.frequency(guess.word) >= doubt)]

    def _finished(self, word: str) -> list[Guess]:
        """A word cut short in the midst of a query."""
        return [Guess(whole, 1.0) for whole in self.lexicon.completions(word, GUESSES)] if len(word) > 2 else []

    def _relaxed(self, plan: Plan) -> Iterator[list[Plan]]:
        """All slots but one, or any of them."""
        for at_least in sorted({len(plan.slots) - 1, 1} - {0}, reverse=True) if len(plan.slots) > 1 else ():
            yield [replace(plan, phrase=(), at_least=at_least, understood=False)]


def plain_plan(words: Sequence[str], synonyms: Synonyms, terms: Terms) -> Plan:
    """The words as they were typed."""
    meant = [word for word in words if word not in STOP_WORDS] or words
    return Plan(slots=tuple(synonyms.slots(meant)), phrase=tuple(terms(meant)))


def _combinations(choices: Sequence[Sequence[Guess]]) -> int:
    total = 1
    for choice in choices:
        total *= len(choice)
    return total
