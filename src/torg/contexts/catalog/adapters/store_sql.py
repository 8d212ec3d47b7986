"""The catalogue over SQL: documents as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from torg.contexts.catalog.adapters.figures_sql import SqlFigures, figures
from torg.contexts.catalog.adapters.remembering import Eras, KeptOffers, KeptTree
from torg.contexts.catalog.contracts import Category, Offer
from torg.contexts.catalog.model import CategoryTree, Product, Stocked
from torg.contexts.catalog.ports import Changes, PastQuery
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.portions import portions
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.sql.port import Reads
from torg.kit.store import Transaction

MOST_QUERIES = 5000
QUERIES_KEPT = 3750  # when there are more than that
CHANGED: Final = ("product.changed_meanwhile", "somebody else has changed one of these products meanwhile: read it again and decide anew")
_decode = msgspec.json.Decoder(Product).decode
_FIND = """select document, quantity, rating_hundredths, rating_count from product
    left join product_figures on product_id = id"""


class SqlCategoryStore:
    """Implements CategoryStore."""

    def __init__(self, database: Database) -> None:
        self._database, self._eras = database, Eras(database)
        self._kept = KeptTree(self._eras, self._read)

    async def tree(self, fresh: bool = False) -> CategoryTree:
        return await self._kept.tree(fresh)

    async def define(self, tx: Transaction, tree: CategoryTree, categories: Sequence[Category]) -> None:
        first: int = (await tx.value("select max(place) from category") or 0) + 1
        for place, category in enumerate((tree.categories[category.id] for category in categories), first):
            await tx.execute(
                """insert into category (id, parent, name, name_ru, slug, place) values (:id, :parent, :name, :name_ru, :slug, :place)
                   on conflict (id) do update set parent = excluded.parent, name = excluded.name, name_ru = excluded.name_ru, slug = excluded.slug""",
                **msgspec.structs.asdict(category), place=place,
            )  # fmt: skip
        tx.sql.after_commit(self._eras.end)

    async def _read(self) -> CategoryTree:
        rows = await self._database.all("select id, name, name_ru, parent, slug from category order by place, id")
        return CategoryTree(Category(id=row["id"], name=row["name"], name_ru=row["name_ru"], parent=row["parent"], slug=row["slug"]) for row in rows)


class SqlProductStore:
    """Implements ProductStore."""

    def __init__(self, database: Database, categories: SqlCategoryStore) -> None:
        self._database, self._figures, self._eras = database, SqlFigures(database), Eras(database)
        self._offers = KeptOffers(self._eras, partial(self._load, database), categories)

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
        return await self._offers.of(product_ids)

    async def load(self, tx: Transaction, product_ids: Sequence[str]) -> dict[str, Product]:
        return await self._load(tx.sql, product_ids)

    async def save(self, tx: Transaction, products: Sequence[Product]) -> None:
        revisions = await self._figures.take_for_products(tx, len(products))
        saved = await tx.execute_many(
            """insert into product (id, document, category, on_sale, revision, version)
                   values (:id, :document, :category, :on_sale, :revision, :version)
               on conflict (id) do update set document = excluded.document, category = excluded.category, on_sale = excluded.on_sale,
                   revision = excluded.revision, version = excluded.version
               where product.version < excluded.version""",
            [_row(product, revision) for revision, product in zip(revisions, products, strict=True)],
        )
        if saved < len(products):
            raise ConcurrentChange(*CHANGED)
        tx.sql.after_commit(self._eras.end)

    async def renew(self, tx: Transaction, category_ids: Collection[str]) -> None:
        for some in portions(sorted(category_ids), AT_ONCE):
            names, parameters = listed(some)
            count: int = await tx.value(f"select count(*) from product where category in ({names})", **parameters)
            revisions = await self._figures.take_for_products(tx, count)
            await tx.execute(
                f"""update product set revision = :before + renewed.place
                    from (select id, row_number() over (order by id) as place from product where category in ({names})) as renewed
                    where renewed.id = product.id""",
                before=revisions.start - 1, **parameters,
            )  # fmt: skip

    async def set_quantities(self, tx: Transaction, quantities: Mapping[str, int]) -> None:
        await self._figures.set_quantities(tx, quantities)

    async def set_rating(self, tx: Transaction, product_id: str, hundredths: int, count: int) -> None:
        await self._figures.set_rating(tx, product_id, hundredths, count)

    async def revision(self) -> int:
        return await self._figures.revision()

    async def changes(self, after: int, limit: int) -> Changes:
        newest = await self.revision()
        products = await self._database.all(
            """select document, quantity, rating_hundredths, rating_count, product.revision as revision
               from product left join product_figures on product_id = id
               where product.revision > :after order by product.revision limit :limit""",
            after=after, limit=limit,
        )  # fmt: skip
        told = await self._figures.since(after, limit)
        reached = reached_by([row["revision"] for row in products], [revision for _, _, revision in told], limit, newest)
        return Changes(
            [_stocked(row) for row in products if row["revision"] <= reached],
            [(product_id, figures) for product_id, figures, revision in told if revision <= reached],
            reached,
        )

    async def on_sale(self) -> AsyncIterator[Stocked]:
        last = ""
        while rows := await self._database.all(f"{_FIND} where id > :last order by id limit :limit", last=last, limit=AT_ONCE):
            for stocked in map(_stocked, rows):
                last = stocked.product.id
                if stocked.product.on_sale:
                    yield stocked

    async def shelf(self, category_ids: Collection[str], limit: int) -> Sequence[Stocked]:
        names, parameters = listed(sorted(category_ids))
        question = f"{_FIND} where on_sale = 1 and category in ({names}) order by id limit :limit"
        return [_stocked(row) for row in await self._database.all(question, **parameters, limit=limit)]

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


def reached_by(products: Sequence[int], figures: Sequence[int], limit: int, newest: int) -> int:
    """How far a step of a reader has come that got these revisions of each: no further than the end of whichever was cut short."""
    return min([newest, *(revisions[-1] for revisions in (products, figures) if len(revisions) == limit)])


def _row(product: Product, revision: int) -> dict[str, object]:
    return {
        "id": product.id,
        "document": encode(product).decode(),
        "category": product.category,
        "on_sale": int(product.on_sale),
        "revision": revision,
        "version": product.version,
    }


def _stocked(row: Row) -> Stocked:
    return Stocked(_decode(row["document"]), figures(row))
