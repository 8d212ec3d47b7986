"""The golden set: what shoppers type, and which products of the demonstration's shop they mean."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.handlers.indexing import document
from torg.contexts.catalog.ports import ProductDocument
from torg.demo.seed import seed
from torg.kit.messages import Message
from torg.kit.settings import Settings

QUERIES = Path(__file__).with_name("queries.txt")
PAGE = 10

Meant = Callable[[ProductDocument], bool]


@dataclass(frozen=True)
class Judged:
    """A query, what is meant by it (None: nothing), and what must be searched for instead, if anything."""

    section: str
    query: str
    meant: Meant | None
    corrected: str | None

    @property
    def known_to_fail(self) -> bool:
        return self.section.startswith("known to fail")

    def precision(self, shown: Sequence[ProductDocument], relevant: int) -> float:
        """precision@10: how many of the first ten are meant, of ten or of as many as there are."""
        if self.meant is None:
            return float(not shown)
        return sum(map(self.meant, shown[:PAGE])) / min(PAGE, relevant) if relevant else 0.0


def golden_set() -> Iterator[Judged]:
    section = ""
    for line in QUERIES.read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line and line[0] not in "#=":
            query, meant, *corrected = (part.strip() for part in line.split(" | "))
            yield Judged(section, query, None if meant == "nothing" else _meant(meant), corrected[0] if corrected else None)


def synonyms() -> list[list[str]]:
    """The groups that both indexes are told."""
    return [[word.strip() for word in line[1:].split(",")] for line in QUERIES.read_text().splitlines() if line.startswith("=")]


async def demonstration() -> list[ProductDocument]:
    """The whole catalogue as the shop's index gets it, with some stock and ratings."""
    categories, products = list[c.Category](), list[c.NewProduct]()

    class Enough(Exception):
        pass

    async def call(message: Message) -> None:
        if isinstance(message, c.DefineCategories):
            categories.extend(message.categories)
        elif isinstance(message, c.ImportProducts):
            products.extend(message.products)
        else:
            raise Enough

    async def settle() -> None: ...

    with tempfile.TemporaryDirectory() as folder:
        try:
            await seed(call, Settings(data=folder), settle)  # type: ignore[arg-type]  # answers nothing, as these two commands want nothing
        except Enough:
            tree = model.CategoryTree(categories)
    return [document(_stocked(product), tree) for product in sorted(products, key=lambda product: product.id)]


def _stocked(product: c.NewProduct) -> model.Stocked:
    random = Random(product.id)
    figures = model.Figures(random.choice((0, 3, 20, 100)), random.choice((0, 350, 425, 480)), random.randrange(200))
    return model.Stocked(model.added(product, datetime(2024, 1, 1, tzinfo=UTC)), figures)


def _meant(expression: str) -> Meant:
    groups = [[_fact(fact) for fact in _parts(group, "and")] for group in _parts(expression, "or")]
    return lambda product: any(all(fact(product) for fact in group) for group in groups)


def _parts(expression: str, word: str) -> list[str]:
    """Parted by the word where it joins facts: a name may have it, too."""
    return re.split(rf" {word} (?=(?:not )?(?:in|has|of|says) )", expression)


def _fact(text: str) -> Meant:
    kind, _, value = text.partition(" ")
    value = _plain(value)
    facts: dict[str, Meant] = {
        "in": lambda product: any(category.id == value for category in product.category_path),
        "has": lambda product: value in _plain(f"{product.name}\n{product.name_ru}"),
        "of": lambda product: _plain(product.brand) == value,
        "says": lambda product: value in _plain("\n".join((product.name, product.name_ru, product.description, product.description_ru, *product.keywords))),
        "not": lambda product: not _fact(value)(product),
    }
    return facts[kind]


def _plain(text: str) -> str:
    return text.lower().replace("ё", "е")
