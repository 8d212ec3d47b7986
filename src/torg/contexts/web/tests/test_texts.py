"""What the shop says: every sentence is there, in every language, with the same holes."""

from __future__ import annotations

import string
from collections.abc import Iterator

from jinja2 import Environment, nodes

from torg.contexts.web.adapters.texts import Sentence, Texts, read_texts
from torg.contexts.web.tests.house import HERE
from torg.kit.values import Language, Money

TEXTS = read_texts(HERE / "locale")


def _holes(sentence: Sentence) -> set[str]:
    forms = [sentence] if isinstance(sentence, str) else [*sentence.values()]
    return {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name}


def _said(environment: Environment) -> Iterator[tuple[str, str]]:
    """The sentences that templates name outright."""
    for path in sorted((HERE / "templates").rglob("*.html")):
        for found in environment.parse(path.read_text()).find_all(nodes.Filter):
            if found.name == "t":
                yield from ((path.name, constant.value) for constant in _constants(found.node))


def _constants(node: nodes.Node | None) -> Iterator[nodes.Const]:
    if isinstance(node, nodes.Const):
        yield node
    elif isinstance(node, nodes.CondExpr):
        yield from _constants(node.expr1)
        yield from _constants(node.expr2)


def test_every_sentence_that_a_template_names_is_there() -> None:
    known = TEXTS[Language.EN]._sentences.keys()
    assert [(name, key) for name, key in _said(Environment()) if key not in known] == []


def test_languages_have_the_same_holes() -> None:
    english, russian = (TEXTS[language]._sentences for language in (Language.EN, Language.RU))
    assert [key for key in english.keys() & russian.keys() if _holes(english[key]) != _holes(russian[key])] == []


def test_russian_has_all_its_plural_forms() -> None:
    forms = {key: sentence for key, sentence in TEXTS[Language.RU]._sentences.items() if not isinstance(sentence, str)}
    assert [key for key, sentence in forms.items() if sentence.keys() != {"one", "few", "many", "other"}] == []


def test_plurals_follow_the_count() -> None:
    russian = TEXTS[Language.RU]
    assert [russian.say("cart.items", count) for count in (1, 2, 5, 21)] == ["1 товар", "2 товара", "5 товаров", "21 товар"]
    assert [TEXTS[Language.EN].say("cart.items", count) for count in (1, 2)] == ["1 item", "2 items"]


def test_money_is_written_as_the_language_does() -> None:
    english, russian = TEXTS[Language.EN], TEXTS[Language.RU]
    assert english.money(Money(129900, "USD")) == "$1,299.00"
    assert _plain(russian, Money(129900, "RUB")) == "1 299 ₽"
    assert _plain(russian, Money(129950, "RUB")) == "1 299,50 ₽"
    assert _plain(english, Money(1500, "JPY")) == "¥1,500"


def _plain(texts: Texts, money: Money) -> str:
    return texts.money(money).replace("\xa0", " ").replace("\u202f", " ")
