"""Opens the catalogue over MongoDB; documents that were kept in SQL until now move there."""

from __future__ import annotations

from typing import Final

import msgspec
from pymongo import DESCENDING
from pymongo.errors import PyMongoError

from torg.contexts.catalog.adapters.store_mongo.bringing import Bringing
from torg.contexts.catalog.adapters.store_mongo.collections import PRODUCTS
from torg.contexts.catalog.adapters.store_mongo.connection import Connection
from torg.contexts.catalog.adapters.store_mongo.store import MongoCategoryStore, MongoProductStore, category_waiter, product_waiter, take_for_categories
from torg.contexts.catalog.adapters.store_mongo.waiting import Waiting
from torg.contexts.catalog.contracts import Category
from torg.contexts.catalog.model import Product
from torg.kit.calls import undisturbed
from torg.kit.settings import BadSettings
from torg.kit.sql import Database
from torg.kit.sql.port import SqlTransaction
from torg.kit.values import NewId

AT_ONCE: Final = 500
HOME: Final = "mongodb"
_decode = msgspec.json.Decoder(Product).decode


class MongoDocuments:
    """All of it, wired together. `new_id` names the shop to MongoDB, once."""

    def __init__(self, url: str, database: Database, new_id: NewId) -> None:
        try:
            self.connection = Connection(url)
        except (PyMongoError, ValueError) as error:
            raise BadSettings(f"TORG_DOCUMENTS is no address of a MongoDB: {error}") from error
        self._database, self._new_id = database, new_id
        self._waiting = Waiting(database)
        self.bringing = Bringing(self._waiting, self.connection)
        self.categories = MongoCategoryStore(database, self.connection, self._waiting, self.bringing)
        self.products = MongoProductStore(database, self.connection, self._waiting, self.bringing, self.categories)

    async def open(self) -> None:
        """Raises Unavailable while MongoDB is away, BadSettings where it has another shop's documents."""
        await self.connection.prepare(await undisturbed(self._name_of_shop, "catalog.documents"))
        await undisturbed(self._move, "catalog.documents")
        await undisturbed(self._overtake, "catalog.documents")

    async def close(self) -> None:
        await self.connection.close()

    async def _name_of_shop(self) -> str:
        async with self._database.begin() as tx:
            await tx.execute("update catalog_revision set shop = :shop where id = 1 and shop = ''", shop=self._new_id())
            shop: str = await tx.value("select shop from catalog_revision where id = 1")
            return shop

    async def _move(self) -> None:
        """Has all documents that were kept in SQL wait to be brought, once."""
        async with self._database.begin() as tx:
            if await tx.execute("update catalog_revision set home = :home where id = 1 and home = ''", home=HOME):
                await self._move_categories(tx)
                await self._move_products(tx)

    async def _move_products(self, tx: SqlTransaction) -> None:
        while rows := await tx.all("select id, document, revision from product order by id limit :limit", limit=AT_ONCE):
            await self._waiting.put(tx, "product", [product_waiter(_decode(row["document"]), row["revision"]) for row in rows])
            await tx.execute("delete from product where id <= :last", last=rows[-1]["id"])

    async def _move_categories(self, tx: SqlTransaction) -> None:
        rows = await tx.all("select id, name, name_ru, parent, slug from category order by place, id")
        categories = [Category(id=row["id"], name=row["name"], name_ru=row["name_ru"], parent=row["parent"], slug=row["slug"]) for row in rows]
        revisions = await take_for_categories(tx, len(categories))
        waiters = [category_waiter(category, place, revision) for place, (category, revision) in enumerate(zip(categories, revisions, strict=True), 1)]
        await self._waiting.put(tx, "category", waiters)
        await tx.execute("delete from category")

    async def _overtake(self) -> None:
        """Where these records are older than the documents (a backup was put back), their revisions go on behind those of the documents."""
        with self.connection.asking():
            newest = await self.connection.collection(PRODUCTS).find_one({}, {"revision": 1}, sort=[("revision", DESCENDING)])
        async with self._database.begin() as tx:
            await tx.execute(
                "update catalog_revision set value = :newest, products = :newest where id = 1 and value < :newest", newest=newest["revision"] if newest else 0
            )
