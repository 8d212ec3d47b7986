"""The catalogue, put together."""

from __future__ import annotations

import shutil
from pathlib import Path

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.adapters.pictures_drawn import draw
from torg.contexts.catalog.adapters.store_sql import SqlCategoryStore, SqlProductStore, SqlSearchMemory
from torg.contexts.catalog.handlers import HANDLERS, REACTIONS
from torg.contexts.catalog.handlers.indexing import Feed
from torg.contexts.catalog.ports import CatalogDeps
from torg.contexts.catalog.routes import routes
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job
from torg.kit.telemetry import log

KEEP_QUERIES_EVERY = 60.0  # seconds


def build(kit: Kit) -> Module:
    categories = SqlCategoryStore(kit.store.database)
    products = SqlProductStore(kit.store.database, categories)
    index = open_index(kit.folder / "index")
    feed = Feed(products, categories, index, kit.purge)
    deps = CatalogDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency,
        products=products, categories=categories, memory=SqlSearchMemory(kit.store.database), index=index, feed=feed,
        draw=draw, purge=kit.purge,
    )  # fmt: skip

    async def start() -> None:
        await index.set_synonyms(await deps.memory.synonyms())
        index.remember_queries(await deps.memory.past_queries())

    async def keep_queries() -> None:
        async with deps.transaction() as tx:
            await deps.memory.keep_past_queries(tx, index.past_queries())

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
        checks={"index": index_serves},
        start=start,
        close=close,
    )


def open_index(folder: Path) -> TantivyProductIndex:
    """The index of this folder; begun anew where it can't be read, for the feed fills it from the store."""
    try:
        return TantivyProductIndex.opened(folder)
    except Exception as error:  # noqa: BLE001 whatever is wrong with the files (tantivy raises ValueError, msgspec its own), the store has all that was in them
        log.warning("the search index cannot be read; it is built anew", folder=str(folder), exc_info=error)
        shutil.rmtree(folder)
        return TantivyProductIndex.opened(folder)
