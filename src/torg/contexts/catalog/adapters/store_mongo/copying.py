"""Documents in backups. They follow SQL: what is committed there and not brought yet waits there. So copied just after the records they fit them, unless one
of them is newer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import bson
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from torg.contexts.catalog.adapters.store_mongo.collections import CATEGORIES, OWNERS, PRODUCTS
from torg.contexts.catalog.adapters.store_mongo.connection import BASE
from torg.kit.beside import ENDING, BesideRefused
from torg.kit.portions import portions

NAMES: Final = (OWNERS, PRODUCTS.name, CATEGORIES.name)
AT_ONCE: Final = 500
WORK_MS: Final = 120_000  # for one question


class CopiedDocuments:
    """Implements Beside."""

    name = "documents"

    async def copy(self, url: str, records: Any, work: Path) -> dict[str, int] | None:
        row = await records.fetchrow("select products, categories, home from catalog_revision where id = 1")
        if row is None or not row["home"]:
            return {}
        if not url:
            raise BesideRefused("this shop's documents are in MongoDB: name it with TORG_DOCUMENTS")
        newest, counts = {PRODUCTS.name: row["products"], CATEGORIES.name: row["categories"]}, dict[str, int]()
        async with _base(url) as base:
            for name in NAMES:
                counts[name] = 0
                with (work / f"{name}{ENDING}").open("wb") as copy:
                    async for document in base[name].find(batch_size=AT_ONCE):
                        if document.get("revision", 0) > newest.get(name, 0):
                            return None
                        copy.write(bson.encode(document))
                        counts[name] += 1
        return counts

    async def refuse_filled(self, url: str) -> None:
        async with _base(url) as base:
            if there := sorted(set(NAMES) & set(await base.list_collection_names())):
                raise BesideRefused(f"TORG_DOCUMENTS has {', '.join(there)} already: name an empty database, nothing is written over")

    async def put(self, url: str, records: Any, folder: Path, counts: Mapping[str, int]) -> None:
        async with _base(url) as base:
            for name in counts:
                with (folder / f"{name}{ENDING}").open("rb") as copy:
                    for some in portions(bson.decode_file_iter(copy), AT_ONCE):
                        await base[name].insert_many(some)

    async def drop(self, url: str) -> None:
        async with _base(url) as base:
            for name in NAMES:
                await base.drop_collection(name)


@asynccontextmanager
async def _base(url: str) -> AsyncIterator[Any]:
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, timeoutMS=WORK_MS, w="majority", journal=True)
    try:
        yield client.get_default_database(BASE)
    except PyMongoError as error:
        raise BesideRefused(f"MongoDB: {str(error).partition(', Topology Description')[0]}") from error
    finally:
        await client.close()
