"""Words of Russian and English text: one analysis for both, since each stemmer leaves the other's letters alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

_WORD = re.compile(r"\d+|[^\W\d_]+")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ](?=\w)")
# Feminine and masculine nouns with a fleeting vowel (кроссовок – кроссовки, чашек – чашка, огурец – огурцы) come out of the Russian
# stemmer with two stems; яиц – яйцо likewise. Leaving the vowel out of every such stem makes them one.
_FLEETING = re.compile(r"(?<=[бвгджзйклмнпрстфхцчшщ])[ое](?=к$)|(?<=[бвгджзклмнпрстфхчшщ])е(?=ц$)")
_SOFT = re.compile(r"(?<=[аеоуыэюя])и(?=ц$)")
_CYRILLIC = re.compile(r"[а-я]")

_LATIN_KEYS = "`qwertyuiop[]asdfghjkl;'zxcvbnm,."
_RUSSIAN_KEYS = "ёйцукенгшщзхъфывапролджэячсмитьбю"
_OTHER_LAYOUT = str.maketrans(_LATIN_KEYS + _RUSSIAN_KEYS, _RUSSIAN_KEYS + _LATIN_KEYS)

STOP_WORDS = frozenset("a an and at by for from in of on or the to with без в для до за и из или к на не о от по под при с со у".split())


def words_of(text: str) -> list[str]:
    """The words as typed, in small letters, ё as е; figures and letters come apart (500г is 500 г)."""
    return _WORD.findall(_APOSTROPHES.sub("", text.lower().replace("ё", "е")))


def in_other_layout(text: str) -> str:
    """What the same keys give with the keyboard switched between English and Russian."""
    return text.lower().translate(_OTHER_LAYOUT)


def is_russian(text: str) -> bool:
    return _CYRILLIC.search(text.lower()) is not None


class Stemmer:
    """Cuts words to what their forms share."""

    def __init__(self) -> None:
        builder = TextAnalyzerBuilder(Tokenizer.whitespace()).filter(Filter.ascii_fold())
        self._analyzer = builder.filter(Filter.stemmer("english")).filter(Filter.stemmer("russian")).build()

    def stems(self, words: Sequence[str]) -> list[str]:
        """One stem for each word."""
        return [_without_fleeting_vowel(stem) for stem in self._analyzer.analyze(" ".join(words))]

    def stem(self, word: str) -> str:
        return self.stems([word])[0]


def _without_fleeting_vowel(stem: str) -> str:
    if stem[-1] == "к" or stem[-1] == "ц":
        return _SOFT.sub("й", _FLEETING.sub("", stem))
    return stem
