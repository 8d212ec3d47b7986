"""The catalogue, put together."""

from __future__ import annotations

from functools import partial

from torg.contexts.catalog.adapters.import_rows import rows_of
from torg.contexts.catalog.adapters.index_opening import open_index
from torg.contexts.catalog.adapters.pictures_drawn import draw
from torg.contexts.catalog.adapters.store_opening import open_documents
from torg.contexts.catalog.adapters.store_sql import SqlSearchMemory
from torg.contexts.catalog.handlers import HANDLERS, REACTIONS
from torg.contexts.catalog.handlers.auditing import invariants
from torg.contexts.catalog.handlers.indexing import Feed
from torg.contexts.catalog.handlers.searching import keep_queries, recall_searches, recall_synonyms, share_queries
from torg.contexts.catalog.ports import CatalogDeps
from torg.contexts.catalog.routes import routes
from torg.kit.beside import Beside
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.spared import Spared
from torg.kit.tasks import Job

KEEP_QUERIES_EVERY = 60.0  # seconds
SPARE = 0.25  # seconds, less than pages wait for what is made of it
RECALL_SYNONYMS_EVERY = 2.0  # seconds, where other processes may be told new ones


def beside() -> Beside:
    """How documents get into backups."""
    from torg.contexts.catalog.adapters.store_mongo.copying import CopiedDocuments

    return CopiedDocuments()


def build(kit: Kit) -> Module:
    documents = open_documents(kit.settings.documents, kit.store.database, kit.new_id)
    products, categories, shared = documents.products, documents.categories, kit.store.database.shared
    index = open_index(kit.settings.index, kit.folder / "index", kit.new_id())
    feed = Feed(products, categories, index, kit.purge)
    deps = CatalogDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access,
        spare=Spared(kit.call, SPARE), products=products, categories=categories, memory=SqlSearchMemory(kit.store.database), index=index, feed=feed,
        draw=draw, rows_of=rows_of, purge=kit.purge,
    )  # fmt: skip

    async def start() -> None:
        await documents.open()
        await recall_searches(deps)

    async def close() -> None:
        await keep_queries(deps)
        await index.close()
        await documents.close()

    return Module(
        name="catalog",
        handlers=bound(HANDLERS, deps),
        routes=routes(deps),
        consumers=(Consumer("catalog", bound(REACTIONS, deps)),),
        jobs=(
            Job("catalog.index", 1.0, index.run, everywhere=True),
            Job("catalog.feed", 1.0, feed.run, everywhere=True),
            Job("catalog.queries", KEEP_QUERIES_EVERY, partial(share_queries, deps), everywhere=True),
            *([Job("catalog.synonyms", RECALL_SYNONYMS_EVERY, partial(recall_synonyms, deps), everywhere=True)] if shared else []),
            *(Job(name, 1.0, run, everywhere=True) for name, run in documents.jobs.items()),
        ),
        invariants=invariants(deps, kit.second_look),
        checks={"index": feed.check, **documents.checks},
        start=start,
        close=close,
    )
