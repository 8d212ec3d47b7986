"""Words of Russian and English text: one analysis for both, since each stemmer leaves the other's letters alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, product

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

# As Russians spell their words where they have Latin letters only: the likeliest Russian letters first.
_SPELT = re.compile("shch|sch|zh|kh|ts|tz|ch|sh|yo|jo|yu|ju|ya|ja|ye|ij|iy|yj|yy|[a-z]")
_CONSONANTS = frozenset("бвгджзклмнпрстфхцчшщ")
_RUSSIAN_FOR = {
    "shch": "щ", "sch": "щ", "zh": "ж", "kh": "х", "ts": "ц", "tz": "ц", "ch": "ч", "sh": "ш", "yo": "е", "jo": "е", "yu": "ю", "ju": "ю", "ya": "я", "ja": "я",
    "ye": "е", "ij": "ий", "iy": "ий", "yj": "ый", "yy": "ый", "a": "а", "b": "б", "c": "ц к", "d": "д", "e": "е э", "f": "ф", "g": "г", "h": "х г", "i": "и",
    "j": "й ж", "k": "к", "l": "л", "m": "м", "n": "н", "o": "о", "p": "п", "q": "к", "r": "р", "s": "с", "t": "т", "u": "у", "v": "в", "w": "в", "x": "кс",
    "y": "ы й", "z": "з",
}  # fmt: skip
MOST_SPELLINGS = 8

STOP_WORDS = frozenset("a an and at by for from in of on or the to with без в для до за и из или к на не о от по под при с со у".split())


def words_of(text: str) -> list[str]:
    """The words as typed, in small letters, ё as е; figures and letters come apart (500г is 500 г)."""
    return _WORD.findall(_APOSTROPHES.sub("", text.lower().replace("ё", "е")))


def meant_words(text: str) -> list[str]:
    """Without the little ones, unless there are no others."""
    words = words_of(text)
    return [word for word in words if word not in STOP_WORDS] or words


def in_other_layout(text: str) -> str:
    """What the same keys give with the keyboard switched between English and Russian."""
    return text.lower().translate(_OTHER_LAYOUT)


def in_russian_letters(word: str) -> list[str]:
    """What a word in Latin letters may be in Russian, likeliest first: moloko is молоко, shampun may be шампун or шампунь. Nothing for other words."""
    if not word.isascii() or not word.isalpha():
        return []
    letters = [_RUSSIAN_FOR[spelt].split() for spelt in _SPELT.findall(word)]
    spellings = ["".join(chosen) for chosen in islice(product(*letters), MOST_SPELLINGS // 2)]
    return [*spellings, *(f"{spelling}ь" for spelling in spellings if spelling[-1] in _CONSONANTS)]


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
