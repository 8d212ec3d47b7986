"""The catalogue, put together."""

from __future__ import annotations

from torg.contexts.catalog.adapters.import_rows import rows_of
from torg.contexts.catalog.adapters.index_opening import open_index
from torg.contexts.catalog.adapters.pictures_drawn import draw
from torg.contexts.catalog.adapters.store_sql import SqlCategoryStore, SqlProductStore, SqlSearchMemory
from torg.contexts.catalog.handlers import HANDLERS, REACTIONS
from torg.contexts.catalog.handlers.auditing import invariants
from torg.contexts.catalog.handlers.indexing import Feed
from torg.contexts.catalog.ports import CatalogDeps
from torg.contexts.catalog.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job

KEEP_QUERIES_EVERY = 60.0  # seconds


def build(kit: Kit) -> Module:
    categories = SqlCategoryStore(kit.store.database)
    products = SqlProductStore(kit.store.database, categories)
    index = open_index(kit.folder / "index")
    feed = Feed(products, categories, index, kit.purge)
    deps = CatalogDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency,
        products=products, categories=categories, memory=SqlSearchMemory(kit.store.database), index=index, feed=feed,
        draw=draw, rows_of=rows_of, purge=kit.purge,
    )  # fmt: skip

    async def start() -> None:
        await index.set_synonyms(await deps.memory.synonyms())
        index.remember_queries(await deps.memory.past_queries())

    async def keep_queries() -> None:
        queries = index.past_queries()
        if queries != tuple(await deps.memory.past_queries()):
            async with deps.transaction() as tx:
                await deps.memory.keep_past_queries(tx, queries)

    async def close() -> None:
        await keep_queries()
        await index.close()

    async def index_serves() -> str:
        return "" if feed.serves else "the search index is being built"

    return Module(
        name="catalog",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        consumers=(Consumer("catalog", bound(REACTIONS, deps)),),
        jobs=(
            Job("catalog.index", 1.0, index.run),
            Job("catalog.feed", 1.0, feed.run),
            Job("catalog.queries", KEEP_QUERIES_EVERY, keep_queries),
        ),
        invariants=invariants(deps),
        checks={"index": index_serves},
        start=start,
        close=close,
    )
