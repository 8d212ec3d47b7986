"""The staff's pages by Jinja templates. Templates speak English; other languages have a table of words, from English."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path

from babel import Locale
from babel.numbers import format_currency, format_decimal
from jinja2 import Environment

from torg.kit.http.templates import environment_of
from torg.kit.values import Language, Money


class JinjaStaffPages:
    """Implements Pages."""

    def __init__(self, templates: Path, locale: Path, statics: Mapping[str, str]) -> None:
        words = {Language.EN: {}, Language.RU: _words(locale / "ru.toml")}
        self._speech = {language: Speech(language, known) for language, known in words.items()}
        self._environments = {language: _environment(templates, speech, statics) for language, speech in self._speech.items()}

    def render(self, name: str, language: Language, values: Mapping[str, object]) -> str:
        return self._environments[language].get_template(name).render(values)

    def say(self, text: str, language: Language) -> str:
        return self._speech[language].say(text)


class Speech:
    """How one language says things; a text without a translation stays as it is."""

    def __init__(self, language: Language, words: Mapping[str, str]) -> None:
        self._words, self._locale = words, Locale.parse(language.value)

    def say(self, text: str, **values: object) -> str:
        said = self._words.get(text, text)
        return said.format_map(values) if values else said

    def word(self, name: str) -> str:
        """A status or kind, as people say it: in_transit is "in transit"."""
        return self.say(name.replace("_", " "))

    def number(self, value: float) -> str:
        return str(format_decimal(value, locale=self._locale))

    def money(self, money: Money) -> str:
        return str(format_currency(money.amount / 100, money.currency, locale=self._locale))


@cache
def _words(file: Path) -> Mapping[str, str]:
    """Read once in a process, however often a shop is opened in it."""
    return tomllib.loads(file.read_text())


def _environment(folder: Path, speech: Speech, statics: Mapping[str, str]) -> Environment:
    filters: dict[str, Callable[..., object]] = {
        "t": speech.say, "word": speech.word, "number": speech.number, "money": speech.money, "time": _time, "day": _day, "asset": statics.__getitem__,
        "short": _short,
    }  # fmt: skip
    return environment_of(folder, filters)


def _time(at: datetime) -> str:
    """To the second, UTC, as the frame says."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"


def _short(id: str) -> str:
    """The end of an identifier: enough to tell two apart on one page."""
    return id[-8:] if len(id) > 12 else id
