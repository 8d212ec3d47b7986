"""Documents that are committed, in SQL, beside the log rows that tell of them, until they are known to be in MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from torg.kit.calls import undisturbed
from torg.kit.portions import portions
from torg.kit.sql import Database
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.sql.port import Reads, SqlTransaction

Kind = Literal["product", "category"]
KINDS: Final[tuple[Kind, ...]] = ("category", "product")


class Waiter(NamedTuple):
    """A document on its way. Revisions of a kind become visible in their order; without a text the document stays as it is and takes the revision."""

    id: str
    revision: int
    document: str
    version: int = 0
    category: str = ""


class Waiting:
    """The table of those that wait: what is in it is newer than what MongoDB has."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, tx: SqlTransaction, kind: Kind, waiters: Sequence[Waiter]) -> bool:
        """Whether none of them waits here already in the same version or a later one."""
        return len(waiters) == await tx.execute_many(
            """insert into document_waiting (kind, id, revision, version, category, document) values (:kind, :id, :revision, :version, :category, :document)
               on conflict (kind, id) do update set revision = excluded.revision, version = excluded.version, category = excluded.category,
                   document = excluded.document
               where document_waiting.version < excluded.version""",
            [{"kind": kind, **waiter._asdict()} for waiter in waiters],
        )

    async def renew(self, tx: SqlTransaction, kind: Kind, revisions: Mapping[str, int]) -> None:
        """Documents that stay as they are."""
        await tx.execute_many(
            """insert into document_waiting (kind, id, revision, version, category, document) values (:kind, :id, :revision, 0, '', '')
               on conflict (kind, id) do update set revision = excluded.revision""",
            [{"kind": kind, "id": id_, "revision": revision} for id_, revision in revisions.items()],
        )

    async def of(self, reads: Reads, kind: Kind, ids: Sequence[str]) -> dict[str, str]:
        """The texts of those that wait with one."""
        found: dict[str, str] = {}
        for some in portions(ids, AT_ONCE):
            names, parameters = listed(some)
            rows = await reads.all(
                f"select id, document from document_waiting where kind = :kind and id in ({names}) and document <> ''", kind=kind, **parameters
            )
            found |= {row["id"]: row["document"] for row in rows}
        return found

    async def all(self, kind: Kind) -> Sequence[str]:
        """All texts."""
        return [row["document"] for row in await self._database.all("select document from document_waiting where kind = :kind and document <> ''", kind=kind)]

    async def of_categories(self, tx: SqlTransaction, categories: Collection[str]) -> set[str]:
        """The products that wait to come into one of them."""
        found: set[str] = set()
        for some in portions(sorted(categories), AT_ONCE):
            names, parameters = listed(some)
            found |= {row["id"] for row in await tx.all(f"select id from document_waiting where kind = 'product' and category in ({names})", **parameters)}
        return found

    async def newest(self, kind: Kind) -> int:
        """The latest revision that waits, 0 when none does."""
        return await self._database.value("select max(revision) from document_waiting where kind = :kind", kind=kind) or 0

    async def oldest(self, kind: Kind, until: int, limit: int) -> Sequence[Waiter]:
        rows = await self._database.all(
            """select id, revision, document, version, category from document_waiting where kind = :kind and revision <= :until
               order by revision limit :limit""",
            kind=kind, until=until, limit=limit,
        )  # fmt: skip
        return [Waiter(row["id"], row["revision"], row["document"], row["version"], row["category"]) for row in rows]

    async def forget(self, kind: Kind, waiters: Sequence[Waiter]) -> None:
        """These are in MongoDB. One that has taken a later revision meanwhile stays."""
        rows = [{"kind": kind, "id": waiter.id, "revision": waiter.revision} for waiter in waiters]

        async def delete() -> None:
            async with self._database.begin() as tx:
                await tx.execute_many("delete from document_waiting where kind = :kind and id = :id and revision = :revision", rows)

        await undisturbed(delete, "catalog.documents", self._database.lane)
