"""What other contexts tell of products, and the numbers of all changes: in SQL wherever the products' documents are, since a consumer's effects and the
ids of what it has handled share one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torg.contexts.catalog.model import Figures
from torg.kit.portions import portions
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.store import Transaction

_REVISIONS = "update catalog_revision set value = value + :count where id = 1 returning value"
_PRODUCT_REVISIONS = "update catalog_revision set value = value + :count, products = value + :count where id = 1 returning value"


class SqlFigures:
    """Figures by product, and the revisions that they and the products share."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def revision(self) -> int:
        newest: int = await self._database.value("select value from catalog_revision where id = 1")
        return newest

    async def revisions(self) -> tuple[int, int]:
        """The newest of all, and the newest that a product took."""
        row = await self._database.one("select value, products from catalog_revision where id = 1")
        assert row is not None, "the first migration made this row"
        return row["value"], row["products"]

    async def take_for_products(self, tx: Transaction, count: int) -> range:
        """As many new revisions. Whoever takes some makes others wait until the commit: so revisions become visible in their order."""
        last: int = await tx.value(_PRODUCT_REVISIONS, count=count)
        return range(last - count + 1, last + 1)

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

    async def of(self, product_ids: Sequence[str]) -> dict[str, Figures]:
        """Those of which something was told."""
        found: dict[str, Figures] = {}
        for some in portions(product_ids, AT_ONCE):
            names, parameters = listed(some)
            rows = await self._database.all(
                f"select product_id, quantity, rating_hundredths, rating_count from product_figures where product_id in ({names})", **parameters
            )
            found |= {row["product_id"]: figures(row) for row in rows}
        return found

    async def since(self, after: int, limit: int) -> Sequence[tuple[str, Figures, int]]:
        """By product, with their revisions, oldest first."""
        rows = await self._database.all(
            """select product_id, quantity, rating_hundredths, rating_count, revision from product_figures
               where revision > :after order by revision limit :limit""",
            after=after, limit=limit,
        )  # fmt: skip
        return [(row["product_id"], figures(row), row["revision"]) for row in rows]


def figures(row: Row) -> Figures:
    return Figures(row["quantity"] or 0, row["rating_hundredths"] or 0, row["rating_count"] or 0)
