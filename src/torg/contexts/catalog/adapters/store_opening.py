"""Chooses where the catalogue's documents live: in its SQL database, or in MongoDB."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from torg.contexts.catalog.adapters.store_sql import SqlCategoryStore, SqlProductStore
from torg.contexts.catalog.ports import CategoryStore, ProductStore
from torg.kit.module import Check
from torg.kit.settings import BadSettings
from torg.kit.sql import Database
from torg.kit.values import NewId

MONGODB = ("mongodb", "mongodb+srv")


async def _nothing() -> None: ...


@dataclass(frozen=True)
class Documents:
    """The stores, and what they need around them. `open` comes before anything else, `close` after it; `jobs` run in every process."""

    products: ProductStore
    categories: CategoryStore
    open: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]] = _nothing
    jobs: Mapping[str, Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)


def open_documents(url: str, database: Database, new_id: NewId) -> Documents:
    """Raises BadSettings for a scheme that is not known."""
    if not url:
        return _in_sql(database)
    if (scheme := url.partition(":")[0]) not in MONGODB:
        known = ", ".join(f"{one}://" for one in MONGODB)
        raise BadSettings(f"TORG_DOCUMENTS begins with {scheme}:, known are {known} and nothing at all (the catalogue's own SQL)")
    from torg.contexts.catalog.adapters.store_mongo.opening import MongoDocuments  # the driver is loaded where it is used

    mongo = MongoDocuments(url, database, new_id)
    return Documents(
        mongo.products, mongo.categories, mongo.open, mongo.close, jobs={"catalog.documents": mongo.bringing.run}, checks={"documents": mongo.connection.check}
    )  # fmt: skip


def _in_sql(database: Database) -> Documents:
    async def open_() -> None:
        if await database.value("select home from catalog_revision where id = 1"):
            raise BadSettings("the catalogue's documents have moved to MongoDB: name it in TORG_DOCUMENTS, or name another data folder with --data")

    categories = SqlCategoryStore(database)
    return Documents(SqlProductStore(database, categories), categories, open_)
