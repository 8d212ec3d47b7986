"""Pages by Jinja templates: compiled at the start, once for each language, so that fixed sentences cost nothing when a page is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, Template

from torg.contexts.web.adapters.texts import Texts
from torg.kit.http.templates import environment_of
from torg.kit.values import Language


class JinjaPages:
    """Implements Pages. `functions` are what templates may call besides the filters."""

    def __init__(self, folder: Path, texts: Mapping[Language, Texts], statics: Mapping[str, str], functions: Mapping[str, Callable[..., object]]) -> None:
        self._texts = texts
        self._templates: dict[tuple[str, Language], Template] = {}
        for language, sentences in texts.items():
            environment = _environment(folder, sentences, statics)
            environment.globals.update(functions)
            for name in environment.list_templates(extensions=["html"]):
                self._templates[name, language] = environment.get_template(name)

    def render(self, name: str, language: Language, values: Mapping[str, object]) -> str:
        return self._templates[name, language].render(values)

    def text(self, key: str, language: Language) -> str:
        return self._texts[language].find(key)


def _environment(folder: Path, texts: Texts, statics: Mapping[str, str]) -> Environment:
    filters: dict[str, Callable[..., object]] = {
        "t": texts.say, "money": texts.money, "number": texts.number, "date": texts.date, "day": texts.day, "time": texts.time,
        "symbol": texts.symbol, "asset": statics.__getitem__, "iso": datetime.isoformat, "path": _path, "stars": _stars,
    }  # fmt: skip
    environment = environment_of(folder, filters)
    environment.globals["language"] = texts.language.value
    return environment


def _path(text: str) -> str:
    return quote(text, safe="")


def _stars(rating: float) -> str:
    """A rating to the nearest half, for the style sheet."""
    return f"{round(rating * 2) / 2:g}"
