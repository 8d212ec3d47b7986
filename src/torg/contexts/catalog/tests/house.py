"""A catalogue to test: a real store and index, the edge in front, and other contexts answered from a table."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torg.contexts.analytics import contracts as analytics
from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.adapters.import_rows import rows_of
from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.adapters.pictures_drawn import draw
from torg.contexts.catalog.adapters.store_opening import Documents, open_documents
from torg.contexts.catalog.adapters.store_sql import SqlSearchMemory
from torg.contexts.catalog.handlers import HANDLERS, REACTIONS
from torg.contexts.catalog.handlers.indexing import Feed
from torg.contexts.catalog.ports import CatalogDeps, ProductIndex
from torg.contexts.catalog.routes import routes
from torg.contexts.inventory import contracts as inventory
from torg.contexts.review import contracts as review
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle, LocalCalls
from torg.kit.errors import Unavailable
from torg.kit.http import App
from torg.kit.http.cache import ResponseCache
from torg.kit.messages import Event, Message, Registry
from torg.kit.spared import Spared
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store, test_ids
from torg.kit.testing.http import Answer, ask, edge
from torg.kit.testing.mongo import base_of
from torg.kit.values import Money

MIGRATIONS = Path(__file__).parents[1] / "migrations"
REGISTRY = Registry([c, inventory, review, analytics])
ADMIN = Identity("00000000-0000-7000-8000-0000000000ad", frozenset({Role.ADMIN}))
ANNA = Identity("00000000-0000-7000-8000-00000000000a", frozenset({Role.CUSTOMER}))
PEOPLE = {"admin": ADMIN, "anna": ANNA}
CATEGORIES = (
    c.Category(id="frozen", name="Frozen food", name_ru="Заморозка"),
    c.Category(id="frozen.pizza", name="Frozen pizza", name_ru="Пицца", parent="frozen"),
    c.Category(id="dairy", name="Dairy", name_ru="Молочное"),
    c.Category(id="dairy.milk", name="Milk", name_ru="Молоко", parent="dairy"),
)


def usd(cents: int) -> Money:
    return Money(cents, "USD")


def new_product(id_: str, name: str = "", **more: Any) -> c.NewProduct:
    """A pizza for five dollars."""
    facts: dict[str, Any] = {"id": id_, "name": name or f"Pizza {id_}", "category": "frozen.pizza", "price": usd(500), "brand": "Acme"}
    return c.NewProduct(**facts | more)


@dataclass
class House:
    deps: CatalogDeps
    store: Store
    clock: TestClock
    index: ProductIndex
    feed: Feed
    app: App
    answers: dict[type[Message], Handle]
    documents: Documents
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __call__(self, message: Any) -> Any:
        return await HANDLERS[type(message)](message, self.deps)

    async def react(self, *events: Event) -> None:
        """As the consumer does: a batch in one transaction."""
        async with self.store.transaction():
            for event in events:
                await REACTIONS[type(event)](event, self.deps)

    async def ask(self, method: str, path: str, body: object = None, *, who: str = "", **more: Any) -> Answer:
        signed = {"authorization": f"Bearer {who}"} if who else {}
        return await ask(self.app, method, f"/api/v1{path}", body, **signed | more)

    async def stock(self, *products: c.NewProduct) -> None:
        """Puts them on sale."""
        report = await self(c.ImportProducts(products=products))
        assert not report.errors, report.errors

    def follow(self) -> None:
        """Lets feed and index do their work."""
        self.tasks += [asyncio.create_task(run()) for run in (self.feed.run, self.index.run, *self.documents.jobs.values())]

    async def found(self, **query: Any) -> list[str]:
        return [item.id for item in (await self(c.ListProducts(**query))).items]

    async def caught_up(self) -> None:
        """Returns when the index shows all that was committed."""
        async with asyncio.timeout(60):
            while self.index.position != await self.deps.products.revision():
                await asyncio.sleep(0.01)
                await self.index.flush()

    async def logged(self, stream: str) -> list[Message]:
        return [row.message for row in await self.store.log.stream(stream)]

    def recommends(self, *product_ids: str) -> None:
        async def answer(_: Message) -> analytics.Recommendations:
            return analytics.Recommendations(product_ids)

        self.answers[analytics.GetRecommendations] = answer

    def loses_analytics(self) -> None:
        async def answer(_: Message) -> analytics.Recommendations:
            raise Unavailable("analytics is away")

        self.answers[analytics.GetRecommendations] = answer


@asynccontextmanager
async def open_house(
    folder: Path,
    categories: Sequence[c.Category] = CATEGORIES,
    documents_url: str | None = None,
    open_index: Callable[[Path], Awaitable[ProductIndex]] = TantivyProductIndex.open,
) -> AsyncIterator[House]:
    """`documents_url`: as TORG_DOCUMENTS; with TORG_TEST_DOCUMENTS, the folder's own database of that MongoDB where nothing else is said."""
    clock, answers = TestClock(), dict[type[Message], Handle]()
    async with open_store(folder, "catalog", clock, REGISTRY, MIGRATIONS) as store:
        index = await open_index(folder / "index")
        cache, documents = ResponseCache(), open_documents(_documents_of(folder) if documents_url is None else documents_url, store.database, test_ids())
        products, kept = documents.products, documents.categories
        feed = Feed(products, kept, index, cache.purge, settled_after=0.2)
        deps = CatalogDeps(
            call=LocalCalls(answers), spare=Spared(LocalCalls(answers), 0.1), clock=clock, new_id=test_ids(), store=store, currency="USD",
            products=products, categories=kept, memory=SqlSearchMemory(store.database), index=index, feed=feed,
            draw=draw, rows_of=rows_of, purge=cache.purge,
        )  # fmt: skip
        house = House(deps, store, clock, index, feed, edge(deps, HANDLERS, routes(deps), PEOPLE, cache), answers, documents)
        house.loses_analytics()
        await documents.open()
        if categories and not (await kept.tree()).categories:
            await house(c.DefineCategories(tuple(categories)))
        try:
            yield house
        finally:
            for task in house.tasks:
                task.cancel()
            await asyncio.gather(*house.tasks, return_exceptions=True)
            await index.close()
            await documents.close()


def _documents_of(folder: Path) -> str:
    url = os.environ.get("TORG_TEST_DOCUMENTS", "")
    return base_of(url, f"torg_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}") if url else ""
