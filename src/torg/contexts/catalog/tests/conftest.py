"""The index under test, for every adapter of the port ProductIndex."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.ports import ProductDocument, ProductIndex, SearchPage, SearchRequest
from torg.contexts.catalog.tests.elastic import OnElastic
from torg.contexts.catalog.tests.house import House, open_house
from torg.contexts.catalog.tests.index_products import PRODUCTS, put
from torg.kit.testing.engines import running

Open = Callable[[Path], Coroutine[Any, Any, ProductIndex]]


@pytest.fixture(scope="session")
def elastic_url() -> Iterator[str]:
    with running("elastic") as environment:
        yield environment["TORG_INDEX"]


def on_tantivy(_: pytest.FixtureRequest) -> Open:
    return TantivyProductIndex.open


def on_elastic(request: pytest.FixtureRequest) -> Open:
    elastic = OnElastic(request.getfixturevalue("elastic_url"))
    request.addfinalizer(elastic.clear)
    return elastic.open


ADAPTERS = {"tantivy": on_tantivy, "elastic": on_elastic}


@pytest.fixture(params=ADAPTERS, scope="module")
def open_index(request: pytest.FixtureRequest) -> Open:
    return ADAPTERS[request.param](request)


@pytest.fixture
async def index(open_index: Open, tmp_path: Path) -> AsyncIterator[ProductIndex]:
    index = await open_index(tmp_path)
    yield index
    await index.close()


@dataclass
class Shop:
    """An index that holds PRODUCTS, and the loop that it lives on: Hypothesis calls a test many times from outside a loop."""

    runner: asyncio.Runner
    index: ProductIndex

    def search(self, request: SearchRequest) -> SearchPage:
        return self.runner.run(self.index.search(request))

    def totals(self, requests: Sequence[SearchRequest]) -> list[int]:
        """How many each finds, all asked at once."""

        async def ask() -> list[SearchPage]:
            return await asyncio.gather(*(self.index.search(request) for request in requests))

        return [page.total for page in self.runner.run(ask())]

    def suggest(self, text: str) -> list[str]:
        return [one.text for one in self.runner.run(self.index.suggest(text))]


@pytest.fixture(scope="module")
def shop(open_index: Open, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with asyncio.Runner() as runner:
        index = runner.run(filled(open_index, tmp_path_factory.mktemp("shop")))
        yield Shop(runner, index)
        runner.run(index.close())


@pytest.fixture(scope="module")
def shelf(open_index: Open, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Shop]]:
    """Indexes that hold some products each, made once for all tests that ask for the same ones, which only read."""
    shelves: dict[tuple[str, ...], Shop] = {}
    with asyncio.Runner() as runner:

        def filled_with(*products: ProductDocument, synonyms: Sequence[Sequence[str]] = ()) -> Shop:
            key = tuple(product.id + product.name for product in products)
            if key not in shelves:
                shelves[key] = Shop(runner, runner.run(open_index(tmp_path_factory.mktemp("shelf"))))
                runner.run(put(shelves[key].index, *products))
                runner.run(shelves[key].index.set_synonyms(synonyms))
            return shelves[key]

        yield filled_with
        for shop in shelves.values():
            runner.run(shop.index.close())


async def filled(open_index: Open, folder: Path) -> ProductIndex:
    index = await open_index(folder)
    await index.put(PRODUCTS[:200])
    await index.flush()
    await index.put(PRODUCTS[200:])
    await index.flush()
    return index


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house
