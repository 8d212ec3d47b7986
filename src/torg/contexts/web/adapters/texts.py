"""Sentences of one language from locale/<language>.toml, and how that language writes numbers, money and dates."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal, get_currency_precision, get_currency_symbol

from torg.kit.values import Language, Money

PLURALS = frozenset({"one", "few", "many", "other"})
Sentence = str | Mapping[str, str]


class Texts:
    """One language of the shop. A sentence is a text with {holes}, or one text for each plural form of its `count`."""

    def __init__(self, language: Language, sentences: Mapping[str, Sentence]) -> None:
        self.language = language
        self._sentences = sentences
        self._locale = Locale.parse(language.value)
        self.money = lru_cache(10_000)(self._money)

    def find(self, key: str) -> str:
        """A sentence without holes; empty where there is none."""
        found = self._sentences.get(key, "")
        return found if isinstance(found, str) else ""

    def say(self, key: str, count: float | None = None, **values: object) -> str:
        """Raises KeyError for a key that is in no file."""
        sentence = self._sentences[key]
        if not isinstance(sentence, str):
            assert count is not None, f"{key} has plural forms: say the count"
            sentence = sentence.get(self._locale.plural_form(count)) or sentence["other"]
        if count is not None:
            values["count"] = self.number(count)
        return sentence.format_map(values) if values else sentence

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self._locale)

    def date(self, at: datetime) -> str:
        return format_date(at, "d MMMM y", locale=self._locale)

    def day(self, at: datetime) -> str:
        """A date of these months, without its year."""
        return format_date(at, "d MMMM", locale=self._locale)

    def time(self, at: datetime) -> str:
        """Date and time, UTC; pages put the reader's own time in its place."""
        return format_datetime(at, "d MMM y, HH:mm", locale=self._locale)

    def symbol(self, currency: str) -> str:
        return get_currency_symbol(currency, locale=self._locale)

    def _money(self, money: Money) -> str:
        digits = get_currency_precision(money.currency)
        whole = digits and money.amount % 10**digits == 0 and money.currency == "RUB"
        pattern = "#,##0 ¤" if whole else None
        amount = money.amount / 10**digits
        return str(format_currency(amount, money.currency, format=pattern, locale=self._locale, currency_digits=not whole))


def read_texts(folder: Path) -> Mapping[Language, Texts]:
    """All languages. Raises ValueError where one lacks a sentence that another has; `fields` may, for those stand in for what a context says itself."""
    read = {language: dict(_flat("", tomllib.loads((folder / f"{language}.toml").read_text()))) for language in Language}
    keys = set().union(*read.values())
    if gaps := [f"{language}: {key}" for language, sentences in read.items() for key in sorted(keys - sentences.keys()) if not key.startswith("fields.")]:
        raise ValueError(f"sentences are missing: {', '.join(gaps)}")
    return {language: Texts(language, sentences) for language, sentences in read.items()}


def _flat(prefix: str, table: Mapping[str, object]) -> Iterator[tuple[str, Sentence]]:
    for name, value in table.items():
        if isinstance(value, str) or (isinstance(value, dict) and value.keys() <= PLURALS):
            yield prefix + name, value
        elif isinstance(value, dict):
            yield from _flat(f"{prefix}{name}.", value)
