"""Both indexes against the golden set, over the whole demonstration catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from random import Random
from statistics import mean

import pytest
from msgspec.structs import replace

from torg.contexts.catalog.adapters.index_common.words import Stemmer, words_of
from torg.contexts.catalog.adapters.index_elastic import Address, ElasticProductIndex
from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.ports import Facets, ProductDocument, ProductIndex, SearchPage, SearchRequest
from torg.contexts.catalog.tests.elastic import ask
from torg.contexts.catalog.tests.golden import PAGE, Judged, demonstration, golden_set, synonyms

pytestmark = pytest.mark.slow

GOLDEN = list(golden_set())
NAME = "t-golden"
LEAST, ON_AVERAGE = 0.8, 0.97  # precision@10
MOST_VALUES = 100  # of a facet; which of equally frequent ones come last is each engine's own matter
STEMS_APART = {"evening", "organic", "organizer", "paste"}  # the engines' English stemmers are of different years
ENGINES = ("tantivy", "elastic")


class Engines:
    """The demonstration catalogue in both, and what they answered."""

    def __init__(self, runner: asyncio.Runner, products: list[ProductDocument], indexes: dict[str, ProductIndex]) -> None:
        self.products = {product.id: product for product in products}
        self._runner, self._indexes = runner, indexes
        self.pages = {(engine, judged.query): self.search(engine, SearchRequest(text=judged.query, limit=PAGE)) for engine in indexes for judged in GOLDEN}

        self._relevant: dict[str, int] = {}

    def relevant(self, judged: Judged) -> int:
        """How many are meant, a page of them at most."""
        if judged.query not in self._relevant:
            self._relevant[judged.query] = len(list(islice(filter(judged.meant, self.products.values()), PAGE))) if judged.meant else 0
        return self._relevant[judged.query]

    def search(self, engine: str, request: SearchRequest) -> SearchPage:
        return self._runner.run(self._indexes[engine].search(request))

    def suggest(self, engine: str, text: str) -> list[str]:
        return [one.text for one in self._runner.run(self._indexes[engine].suggest(text))]

    def shown(self, engine: str, judged: Judged) -> list[ProductDocument]:
        return [self.products[card.id] for card in self.pages[engine, judged.query].items]


@pytest.fixture(scope="module")
def engines(elastic_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    with asyncio.Runner() as runner:
        products = runner.run(demonstration())
        tantivy = runner.run(TantivyProductIndex.open(tmp_path_factory.mktemp("golden")))
        elastic = runner.run(ElasticProductIndex.open(Address.read(f"{elastic_url}/{NAME}?deadline=20"), "golden"))
        for index in (tantivy, elastic):
            runner.run(index.rebuild(products, position=1))
            runner.run(index.set_synonyms(synonyms()))
        yield Engines(runner, products, {"tantivy": tantivy, "elastic": elastic})
        for index in (tantivy, elastic):
            runner.run(index.close())
        ask(elastic_url, "DELETE", f"/{','.join(ask(elastic_url, 'GET', f'/{NAME}-v*/_alias'))}")


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_meant_comes_first(engines: Engines, engine: str) -> None:
    precision: dict[str, float] = {}
    for judged in GOLDEN:
        precision[judged.query] = judged.precision(engines.shown(engine, judged), engines.relevant(judged))
    weak = {judged.query: precision[judged.query] for judged in GOLDEN if precision[judged.query] < LEAST}
    assert weak.keys() == {judged.query for judged in GOLDEN if judged.known_to_fail}, weak
    assert mean(precision.values()) >= ON_AVERAGE


@pytest.mark.parametrize("engine", ENGINES)
def test_mistakes_are_corrected_to_what_was_meant(engines: Engines, engine: str) -> None:
    corrected = {judged.query: engines.pages[engine, judged.query].corrected_query for judged in GOLDEN if judged.corrected}
    assert corrected == {judged.query: judged.corrected for judged in GOLDEN if judged.corrected}


def test_both_engines_answer_the_golden_set_alike(engines: Engines) -> None:
    differing = [judged.query for judged in GOLDEN if not alike(*(engines.pages[engine, judged.query] for engine in ENGINES))]
    assert differing == []


def test_filters_orders_and_cursors_are_the_same_in_both(engines: Engines) -> None:
    random = Random(11)
    differing = []
    for judged in random.sample(GOLDEN, 60):
        request = any_filters(random, judged.query, random.choice(list(engines.products.values())))
        pages = {engine: engines.search(engine, request) for engine in ENGINES}
        if not alike(*pages.values()):
            differing.append(request)
        if all(page.next_cursor for page in pages.values()):
            second = [engines.search(engine, replace(request, cursor=page.next_cursor)) for engine, page in pages.items()]
            differing += [] if alike(*second) else [request]
    assert differing == []


def test_suggestions_are_the_same_in_both(engines: Engines) -> None:
    beginnings = dict.fromkeys(judged.query[:length] for judged in GOLDEN for length in (2, 4, 7))
    differing = [text for text in beginnings if engines.suggest("tantivy", text) != engines.suggest("elastic", text)]
    assert len(differing) <= len(beginnings) // 50, differing


def test_both_cut_the_catalogues_words_to_the_same_stems(engines: Engines, elastic_url: str) -> None:
    words = sorted({word for product in engines.products.values() for word in words_of(all_texts(product))})
    ours = dict(zip(words, Stemmer().stems(words), strict=True))
    theirs: dict[str, str] = {}
    for at in range(0, len(words), 5000):
        some = words[at : at + 5000]
        tokens = ask(elastic_url, "POST", f"/{NAME}-v1/_analyze", {"analyzer": "stems", "text": some})["tokens"]
        theirs |= {word: token["token"] for word, token in zip(some, tokens, strict=True)}
    assert {word for word in words if ours[word] != theirs[word]} <= STEMS_APART


def any_filters(random: Random, query: str, product: ProductDocument) -> SearchRequest:
    chosen: dict[str, object] = {"category": random.choice(product.category_path).id, "brand": product.brand or None, "in_stock": True}
    bounds: dict[str, object] = {"price_min": product.price // 2, "price_max": product.price * 3, "rating_min": 4.0}
    some = dict(random.sample(list((chosen | bounds).items()), 2))
    text = query if random.random() < 0.7 else ""
    sort = random.choice(("relevance", "price", "-price", "-rating", "-created_at", "-popularity"))
    return SearchRequest(text=text, limit=5, sort=sort, **some)  # type: ignore[arg-type]


def alike(one: SearchPage, other: SearchPage) -> bool:
    """The same products in the same order, as many in all, by the same reading, with the same facets."""
    same = [(page.total, page.corrected_query, page.understood, [card.id for card in page.items]) for page in (one, other)]
    return same[0] == same[1] and facet_counts(one.facets) == facet_counts(other.facets)


def facet_counts(facets: Facets) -> dict[str, object]:
    """Without the least frequent values where there were too many to be shown."""
    found: dict[str, object] = {}
    for facet in ("category", "brand", "price", "rating"):
        values = getattr(facets, facet)
        least = min((value.count for value in values), default=0) if len(values) >= MOST_VALUES else 0
        found[facet] = sorted((value.value, value.name, value.count) for value in values if value.count > least)
    return found


def all_texts(product: ProductDocument) -> str:
    categories = (text for category in product.category_path for text in (category.name, category.name_ru))
    return " ".join((product.name, product.name_ru, product.brand, product.description, product.description_ru, *product.keywords, *categories))
