"""Products and the tree of categories as documents in MongoDB, their figures and the log in SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
from pymongo import ASCENDING

from torg.contexts.catalog.adapters.figures_sql import SqlFigures, figures
from torg.contexts.catalog.adapters.remembering import Eras, KeptOffers, KeptTree
from torg.contexts.catalog.adapters.store_mongo.bringing import Bringing
from torg.contexts.catalog.adapters.store_mongo.collections import CATEGORIES, PRODUCTS
from torg.contexts.catalog.adapters.store_mongo.connection import Connection, Document
from torg.contexts.catalog.adapters.store_mongo.waiting import Waiter, Waiting
from torg.contexts.catalog.adapters.store_sql import CHANGED, reached_by
from torg.contexts.catalog.contracts import Category, Offer
from torg.contexts.catalog.model import CategoryTree, Figures, Product, Stocked
from torg.contexts.catalog.ports import Changes
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.portions import portions
from torg.kit.sql import Database
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.sql.port import Reads, SqlTransaction
from torg.kit.store import Transaction

IDS_AT_ONCE: Final = 100  # in one question: servers differ in how well they take more
WALK_AT_ONCE: Final = 500
_BESIDE: Final = """select product_id as id, quantity, rating_hundredths, rating_count, '' as document from product_figures where product_id in ({names})
    union all
    select id, 0, 0, 0, document from document_waiting where kind = 'product' and id in ({names}) and document <> ''"""
_decode = msgspec.json.Decoder(Product).decode


class MongoCategoryStore:
    """Implements CategoryStore."""

    def __init__(self, database: Database, connection: Connection, waiting: Waiting, bringing: Bringing) -> None:
        self._connection, self._waiting, self._bringing = connection, waiting, bringing
        self._eras = Eras(database)
        self._kept = KeptTree(self._eras, self._read)

    async def tree(self, fresh: bool = False) -> CategoryTree:
        return await self._kept.tree(fresh)

    async def define(self, tx: Transaction, tree: CategoryTree, categories: Sequence[Category]) -> None:
        places = {category_id: place for place, category_id in enumerate(tree.categories, 1)}
        changed = {category.id: tree.categories[category.id] for category in categories}
        revisions = await take_for_categories(tx.sql, len(changed))
        waiters = [category_waiter(category, places[category.id], revision) for revision, category in zip(revisions, changed.values(), strict=True)]
        if not await self._waiting.put(tx.sql, "category", waiters):
            raise ConcurrentChange("category.changed_meanwhile", "somebody else has changed one of these categories meanwhile: read them again and decide anew")
        tx.sql.after_commit(self._eras.end)
        tx.sql.after_commit(self._bringing.bell.ring)

    async def _read(self) -> CategoryTree:
        waiting = [_category(msgspec.json.decode(text)) for text in await self._waiting.all("category")]
        with self._connection.asking():
            documents = await self._connection.collection(CATEGORIES).find().to_list()
        known = {category.id: (place, category) for place, category in (*(_category(_with_id(document)) for document in documents), *waiting)}
        return CategoryTree(category for _, category in sorted(known.values(), key=lambda one: (one[0], one[1].id)))


class MongoProductStore:
    """Implements ProductStore. Reads look first at what waits in SQL, then in MongoDB: in this order nothing that is committed is missed."""

    def __init__(self, database: Database, connection: Connection, waiting: Waiting, bringing: Bringing, categories: MongoCategoryStore) -> None:
        self._database, self._connection, self._waiting, self._bringing = database, connection, waiting, bringing
        self._products, self._figures, self._eras = connection.collection(PRODUCTS), SqlFigures(database), Eras(database)
        self._offers = KeptOffers(self._eras, partial(self._load, database), categories)

    async def find(self, product_id: str) -> Stocked | None:
        found = await self.find_all([product_id])
        return found[0] if found else None

    async def find_all(self, product_ids: Sequence[str]) -> Sequence[Stocked]:
        told, waiting = await self._beside(product_ids)
        found = await self._with_those_there(waiting, product_ids)
        return [Stocked(found[product_id], told.get(product_id, Figures())) for product_id in product_ids if product_id in found]

    async def offers(self, product_ids: Sequence[str]) -> tuple[Offer, ...]:
        return await self._offers.of(product_ids)

    async def load(self, tx: Transaction, product_ids: Sequence[str]) -> dict[str, Product]:
        return await self._load(tx.sql, product_ids)

    async def save(self, tx: Transaction, products: Sequence[Product]) -> None:
        revisions = await self._figures.take_for_products(tx, len(products))
        waiters = [product_waiter(product, revision) for revision, product in zip(revisions, products, strict=True)]
        if not await self._waiting.put(tx.sql, "product", waiters) or await self._is_there(products):
            raise ConcurrentChange(*CHANGED)
        tx.sql.after_commit(self._eras.end)
        tx.sql.after_commit(self._bringing.bell.ring)

    async def renew(self, tx: Transaction, category_ids: Collection[str]) -> None:
        await self._figures.take_for_products(tx, 0)  # from here on nobody else can give a product another category
        ids = await self._waiting.of_categories(tx.sql, category_ids)
        for some in portions(sorted(category_ids), IDS_AT_ONCE):
            for status in ("on_sale", "withdrawn"):  # one at a time, as the index is by status first
                with self._connection.asking():
                    asked = {"status": status, "category": {"$in": list(some)}}
                    ids |= {document["_id"] async for document in self._products.find(asked, {"_id": 1})}
        revisions = await self._figures.take_for_products(tx, len(ids))
        await self._waiting.renew(tx.sql, "product", dict(zip(sorted(ids), revisions, strict=True)))
        tx.sql.after_commit(self._bringing.bell.ring)

    async def set_quantities(self, tx: Transaction, quantities: Mapping[str, int]) -> None:
        await self._figures.set_quantities(tx, quantities)

    async def set_rating(self, tx: Transaction, product_id: str, hundredths: int, count: int) -> None:
        await self._figures.set_rating(tx, product_id, hundredths, count)

    async def revision(self) -> int:
        return await self._figures.revision()

    async def changes(self, after: int, limit: int) -> Changes:
        newest, of_products = await self._figures.revisions()
        fresh = await self._figures.since(after, limit)
        documents = await self._since(after, newest, limit) if of_products > after else []
        reached = reached_by([document["revision"] for document in documents], [revision for _, _, revision in fresh], limit, newest)
        products = [_product(document) for document in documents if document["revision"] <= reached]
        told = await self._figures.of([product.id for product in products])
        return Changes(
            [Stocked(product, told.get(product.id, Figures())) for product in products],
            [(product_id, figures) for product_id, figures, revision in fresh if revision <= reached],
            reached,
        )

    async def on_sale(self) -> AsyncIterator[Stocked]:
        await self._bringing.bring()
        cursor = self._products.find(batch_size=WALK_AT_ONCE).sort("_id", ASCENDING)
        async with cursor:
            while True:
                with self._connection.asking():
                    documents = await cursor.to_list(WALK_AT_ONCE)
                if not documents:
                    return
                for stocked in await self._as_they_are({document["_id"]: _product(document) for document in documents}):
                    yield stocked

    async def shelf(self, category_ids: Collection[str], limit: int) -> Sequence[Stocked]:
        asked = {"status": "on_sale", "category": {"$in": sorted(category_ids)}}
        with self._connection.asking():
            documents = await self._products.find(asked).sort("_id", ASCENDING).limit(limit).to_list()
        return await self._as_they_are({document["_id"]: _product(document) for document in documents})

    async def count_by_category(self) -> Mapping[str, int]:
        await self._bringing.bring()
        with self._connection.asking():
            counted = await self._products.aggregate(
                [{"$match": {"status": "on_sale"}}, {"$group": {"_id": "$category", "products": {"$sum": 1}}}],
            )
            return {group["_id"]: group["products"] async for group in counted}

    async def _load(self, reads: Reads, product_ids: Sequence[str]) -> dict[str, Product]:
        return await self._with_those_there(await self._waiting.of(reads, "product", product_ids), product_ids)

    async def _beside(self, product_ids: Sequence[str]) -> tuple[dict[str, Figures], dict[str, str]]:
        """What SQL has of them: figures, and the texts of those that wait."""
        told: dict[str, Figures] = {}
        waiting: dict[str, str] = {}
        for some in portions(product_ids, AT_ONCE):
            names, parameters = listed(some)
            for row in await self._database.all(_BESIDE.format(names=names), **parameters):
                if row["document"]:
                    waiting[row["id"]] = row["document"]
                else:
                    told[row["id"]] = figures(row)
        return told, waiting

    async def _with_those_there(self, waiting: Mapping[str, str], product_ids: Sequence[str]) -> dict[str, Product]:
        """Those that wait as they do, the others as MongoDB has them."""
        found = {id_: _decode(text) for id_, text in waiting.items()}
        for some in portions([product_id for product_id in product_ids if product_id not in found], IDS_AT_ONCE):
            with self._connection.asking():
                documents = await self._products.find({"_id": {"$in": list(some)}}).to_list()
            found |= {document["_id"]: _product(document) for document in documents}
        return found

    async def _is_there(self, products: Sequence[Product]) -> bool:
        """Whether MongoDB has one of them in this version or a later one."""
        by_version: dict[int, list[str]] = {}
        for product in products:
            by_version.setdefault(product.version, []).append(product.id)
        for version, ids in by_version.items():
            for some in portions(ids, IDS_AT_ONCE):
                with self._connection.asking():
                    if await self._products.find_one({"_id": {"$in": list(some)}, "version": {"$gte": version}}, {"_id": 1}):
                        return True
        return False

    async def _since(self, after: int, until: int, limit: int) -> list[Document]:
        await self._bringing.bring()
        with self._connection.asking():
            return await self._products.find({"revision": {"$gt": after, "$lte": until}}).sort("revision", ASCENDING).limit(limit).to_list()

    async def _as_they_are(self, products: Mapping[str, Product]) -> Sequence[Stocked]:
        """Those on sale, with their figures, as newer versions that wait have them."""
        told, waiting = await self._beside(list(products))
        newest = (_decode(waiting[id_]) if id_ in waiting else product for id_, product in products.items())
        return [Stocked(product, told.get(product.id, Figures())) for product in newest if product.on_sale]


async def take_for_categories(tx: SqlTransaction, count: int) -> range:
    """As many new revisions."""
    last: int = await tx.value("update catalog_revision set categories = categories + :count where id = 1 returning categories", count=count)
    return range(last - count + 1, last + 1)


def product_waiter(product: Product, revision: int) -> Waiter:
    """With all that is asked for by an index spelled out."""
    document = {**msgspec.to_builtins(product), "status": product.status, "version": product.version}
    return Waiter(product.id, revision, encode(document).decode(), product.version, product.category)


def category_waiter(category: Category, place: int, revision: int) -> Waiter:
    return Waiter(category.id, revision, encode({**msgspec.to_builtins(category), "place": place}).decode(), revision)


def _product(document: Document) -> Product:
    return msgspec.convert(_with_id(document), Product)


def _category(document: Document) -> tuple[int, Category]:
    return document["place"], msgspec.convert(document, Category)


def _with_id(document: Document) -> Document:
    document["id"] = document.pop("_id")
    return document
