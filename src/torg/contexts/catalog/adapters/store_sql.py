"""The catalogue over SQL: documents as JSON."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from torg.contexts.catalog.contracts import Category, Offer
from torg.contexts.catalog.model import CategoryTree, Figures, Product, Stocked, offer
from torg.contexts.catalog.ports import Changes, PastQuery
from torg.kit.messages import encode
from torg.kit.portions import portions
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.sql.port import Reads
from torg.kit.store import Transaction

REREAD_EVERY = 5.0  # seconds, where other processes may have changed it
MOST_QUERIES = 5000
QUERIES_KEPT = 3750  # when there are more than that
_decode = msgspec.json.Decoder(Product).decode
_FIND = """select document, quantity, rating_hundredths, rating_count from product
    left join product_figures on product_id = id"""
_REVISIONS = "update catalog_revision set value = value + :count where id = 1 returning value"


class SqlCategoryStore:
    """Implements CategoryStore."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tree: CategoryTree | None = None
        self._read_at = 0.0

    async def tree(self, fresh: bool = False) -> CategoryTree:
        if self._tree is None or (self._database.shared and (fresh or time.monotonic() - self._read_at > REREAD_EVERY)):
            self._read_at = time.monotonic()
            rows = await self._database.all("select id, name, name_ru, parent, slug from category order by place, id")
            read = CategoryTree(Category(id=row["id"], name=row["name"], name_ru=row["name_ru"], parent=row["parent"], slug=row["slug"]) for row in rows)
            if self._tree is None or read.categories != self._tree.categories:  # the same one as long as it is the same, as others remember by it
                self._tree = read
        return self._tree

    async def define(self, tx: Transaction, tree: CategoryTree, categories: Sequence[Category]) -> None:
        first: int = (await tx.value("select max(place) from category") or 0) + 1
        for place, category in enumerate((tree.categories[category.id] for category in categories), first):
            await tx.execute(
                """insert into category (id, parent, name, name_ru, slug, place) values (:id, :parent, :name, :name_ru, :slug, :place)
                   on conflict (id) do update set parent = excluded.parent, name = excluded.name, name_ru = excluded.name_ru, slug = excluded.slug""",
                **msgspec.structs.asdict(category), place=place,
            )  # fmt: skip
        tx.sql.after_commit(self._forget)

    def _forget(self) -> None:
        self._tree = None


class SqlProductStore:
    """Implements ProductStore. Remembers the `remembered` offers last asked for; a fleet's processes, which can't see each other's commits, remember 0."""

    def __init__(self, database: Database, categories: SqlCategoryStore, remembered: int = 4096) -> None:
        self._database, self._categories, self._remembered = database, categories, remembered
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._offered_in: CategoryTree | None = None

    async def find(self, product_id: str) -> Stocked | None:
        row = await self._database.one(f"{_FIND} where id = :id", id=product_id)
        return _stocked(row) if row else None

    async def find_all(self, product_ids: Sequence[str]) -> Sequence[Stocked]:
        found: dict[str, Stocked] = {}
        for some in portions(product_ids, AT_ONCE):
            names, parameters = listed(some)
            for row in await self._database.all(f"{_FIND} where id in ({names})", **parameters):
                stocked = _stocked(row)
                found[stocked.product.id] = stocked
        return [found[product_id] for product_id in product_ids if product_id in found]

    async def offers(self, product_ids: Sequence[str]) -> tuple[Offer, ...]:
        tree = await self._categories.tree()
        if tree is not self._offered_in:
            self._offers.clear()
            self._offered_in = tree
        found = {product_id: known for product_id in product_ids if (known := self._offers.get(product_id))}
        if missing := [product_id for product_id in product_ids if product_id not in found]:
            products = await self._load(self._database, missing)
            found |= {product_id: offer(product, tree) for product_id, product in products.items()}
            self._remember(found)
        return tuple([found[product_id] for product_id in product_ids if product_id in found])

    async def load(self, tx: Transaction, product_ids: Sequence[str]) -> dict[str, Product]:
        return await self._load(tx.sql, product_ids)

    async def save(self, tx: Transaction, products: Sequence[Product]) -> None:
        last: int = await tx.value(_REVISIONS, count=len(products))
        await tx.execute_many(
            """insert into product (id, document, category, on_sale, revision) values (:id, :document, :category, :on_sale, :revision)
               on conflict (id) do update set document = excluded.document, category = excluded.category, on_sale = excluded.on_sale,
                   revision = excluded.revision""",
            [_row(product, revision) for revision, product in enumerate(products, last - len(products) + 1)],
        )
        tx.sql.after_commit(partial(self._forget, [product.id for product in products]))

    async def renew(self, tx: Transaction, category_ids: Collection[str]) -> None:
        for some in portions(sorted(category_ids), AT_ONCE):
            names, parameters = listed(some)
            count: int = await tx.value(f"select count(*) from product where category in ({names})", **parameters)
            last: int = await tx.value(_REVISIONS, count=count)
            await tx.execute(
                f"""update product set revision = :before + renewed.place
                    from (select id, row_number() over (order by id) as place from product where category in ({names})) as renewed
                    where renewed.id = product.id""",
                before=last - count, **parameters,
            )  # fmt: skip

    async def set_quantities(self, tx: Transaction, quantities: Mapping[str, int]) -> None:
        last: int = await tx.value(_REVISIONS, count=len(quantities))
        await tx.execute_many(
            """insert into product_figures (product_id, quantity, revision) values (:id, :quantity, :revision)
               on conflict (product_id) do update set quantity = excluded.quantity, revision = excluded.revision""",
            [
                {"id": product_id, "quantity": quantity, "revision": revision}
                for revision, (product_id, quantity) in enumerate(quantities.items(), last - len(quantities) + 1)
            ],
        )

    async def set_rating(self, tx: Transaction, product_id: str, hundredths: int, count: int) -> None:
        await tx.execute(
            """insert into product_figures (product_id, rating_hundredths, rating_count, revision) values (:id, :hundredths, :count, :revision)
               on conflict (product_id) do update set rating_hundredths = excluded.rating_hundredths, rating_count = excluded.rating_count,
                   revision = excluded.revision""",
            id=product_id, hundredths=hundredths, count=count, revision=await tx.value(_REVISIONS, count=1),
        )  # fmt: skip

    async def revision(self) -> int:
        newest: int = await self._database.value("select value from catalog_revision where id = 1")
        return newest

    async def changes(self, after: int, limit: int) -> Changes:
        newest = await self.revision()
        products = await self._database.all(
            """select document, quantity, rating_hundredths, rating_count, product.revision as revision
               from product left join product_figures on product_id = id
               where product.revision > :after order by product.revision limit :limit""",
            after=after, limit=limit,
        )  # fmt: skip
        figures = await self._database.all(
            """select product_id, quantity, rating_hundredths, rating_count, revision from product_figures
               where revision > :after order by revision limit :limit""",
            after=after, limit=limit,
        )  # fmt: skip
        reached = min([newest, *(rows[-1]["revision"] for rows in (products, figures) if len(rows) == limit)])
        return Changes(
            [_stocked(row) for row in products if row["revision"] <= reached],
            [(row["product_id"], _figures(row)) for row in figures if row["revision"] <= reached],
            reached,
        )

    async def on_sale(self) -> AsyncIterator[Stocked]:
        last = ""
        while rows := await self._database.all(f"{_FIND} where id > :last order by id limit :limit", last=last, limit=AT_ONCE):
            for stocked in map(_stocked, rows):
                last = stocked.product.id
                if stocked.product.on_sale:
                    yield stocked

    async def count_by_category(self) -> Mapping[str, int]:
        rows = await self._database.all("select category, count(*) as products from product where on_sale = 1 group by category")
        return {row["category"]: row["products"] for row in rows}

    async def _load(self, reads: Reads, product_ids: Sequence[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        for some in portions(product_ids, AT_ONCE):
            names, parameters = listed(some)
            rows = await reads.all(f"select id, document from product where id in ({names})", **parameters)
            found |= {row["id"]: _decode(row["document"]) for row in rows}
        return found

    def _remember(self, offers: Mapping[str, Offer]) -> None:
        self._offers.update(offers)
        while len(self._offers) > self._remembered:
            self._offers.popitem(last=False)

    def _forget(self, product_ids: Iterable[str]) -> None:
        for product_id in product_ids:
            self._offers.pop(product_id, None)


class SqlSearchMemory:
    """Implements SearchMemory."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def synonyms(self) -> Sequence[tuple[str, ...]]:
        rows = await self._database.all("select words from synonym_group order by place")
        return [msgspec.json.decode(row["words"], type=tuple[str, ...]) for row in rows]

    async def set_synonyms(self, tx: Transaction, groups: Sequence[tuple[str, ...]]) -> None:
        await tx.execute("delete from synonym_group")
        rows = [{"place": place, "words": encode(group).decode()} for place, group in enumerate(groups, 1)]
        await tx.execute_many("insert into synonym_group (place, words) values (:place, :words)", rows)

    async def past_queries(self) -> Sequence[PastQuery]:
        return [PastQuery(row["text"], row["times"]) for row in await self._database.all("select text, times from past_query")]

    async def keep_past_queries(self, tx: Transaction, queries: Sequence[PastQuery]) -> None:
        rows = [
            {"text": query.text, "times": query.times} for query in sorted(queries, key=lambda query: query.text)
        ]  # in one order, so that nobody waits in a ring
        await tx.execute_many(
            """insert into past_query (text, times) values (:text, :times)
               on conflict (text) do update set times = past_query.times + excluded.times""",
            rows,
        )
        if await tx.value("select count(*) from past_query") > MOST_QUERIES:
            await tx.execute("delete from past_query where text not in (select text from past_query order by times desc, text limit :kept)", kept=QUERIES_KEPT)
            await tx.execute("update past_query set times = (times + 1) / 2")


def _row(product: Product, revision: int) -> dict[str, object]:
    return {
        "id": product.id,
        "document": encode(product).decode(),
        "category": product.category,
        "on_sale": int(product.on_sale),
        "revision": revision,
    }


def _stocked(row: Row) -> Stocked:
    return Stocked(_decode(row["document"]), _figures(row))


def _figures(row: Row) -> Figures:
    return Figures(row["quantity"] or 0, row["rating_hundredths"] or 0, row["rating_count"] or 0)
