"""Bulks: products go in whole, each with the store's revision that it was read at, and an index refuses what is older than it has."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping

import msgspec

from torg.contexts.catalog.adapters.index_common.changes import Update, Updates, changed
from torg.contexts.catalog.adapters.index_common.documents import Documents, one_by_one
from torg.contexts.catalog.adapters.index_elastic import fields
from torg.contexts.catalog.adapters.index_elastic.connection import WRITING, Action, Connection
from torg.contexts.catalog.ports import ProductChange, ProductDocument
from torg.kit.errors import Unavailable
from torg.kit.portions import portions
from torg.kit.telemetry import log

READ_AT_ONCE = 500  # products
OLDER_THAN_IT_HAS, NOT_THERE = 409, 404
REFUSED_FOR_GOOD = (400, 413)  # for what the product says itself
NO_INDEX, TAKEN = "index_not_found_exception", "resource_already_exists_exception"


class _Source(msgspec.Struct, frozen=True):
    product: ProductDocument


class _Found(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="_id")
    source: _Source | None = msgspec.field(default=None, name="_source")
    error: msgspec.Raw = msgspec.Raw()


class _FoundAll(msgspec.Struct, frozen=True):
    docs: list[_Found]


class Writer:
    """Writes to the indexes of one cluster."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(self, index: str) -> bool:
        """An empty one, by the template; False where there is one of this name."""
        return await self._connection.tell("PUT", f"/{index}", fine=(TAKEN,))

    async def drop(self, indexes: Iterable[str]) -> None:
        if names := ",".join(indexes):
            await self._connection.tell("DELETE", f"/{names}?ignore_unavailable=true")

    async def refresh(self, index: str) -> None:
        """What was written is found from now on."""
        await self._connection.tell("POST", f"/{index}/_refresh", deadline=WRITING)

    async def fill(self, index: str, documents: Documents, version: int) -> None:
        """Writes all of these products into an empty index, and has it keep them as such: an engine that dies would write all of them anew from its
        transaction log when it starts, a minute's work on a busy machine."""

        async def actions() -> AsyncIterator[Action]:
            async for product in one_by_one(documents):
                yield _put(index, product, version)

        await self._write(actions())
        await self._connection.tell("POST", f"/{index}/_flush", deadline=WRITING)

    async def apply(self, index: str, updates: Mapping[str, Update], version: int, everything: bool) -> Updates:
        """Writes the updates. Left out and returned, unless `everything`, are those that no search could tell apart."""
        present = await self._products(index, [id_ for id_, update in updates.items() if isinstance(update, ProductChange)])
        actions, quiet = list[Action](), Updates()
        for id_, update in updates.items():
            if isinstance(update, ProductDocument):
                actions.append(_put(index, update, version))
            elif update is None:
                actions.append(({"delete": _which(index, id_, version)}, None))
            elif (before := present.get(id_)) is not None:
                after = changed(before, update)
                if everything or _figures(before) != _figures(after):
                    actions.append(_put(index, after, version))
                else:
                    quiet[id_] = update
        if actions:
            await self._write(actions)
            await self.refresh(index)
        return quiet

    async def _products(self, index: str, ids: list[str]) -> dict[str, ProductDocument]:
        """As the index has them, whether they can be found already or not."""
        found: dict[str, ProductDocument] = {}
        for some in portions(ids, READ_AT_ONCE):
            answer = await self._connection.ask("POST", f"/{index}/_mget", {"ids": some}, kind=_FoundAll, deadline=WRITING)
            if reason := next((bytes(one.error) for one in answer.docs if one.error), b""):  # whether these are there nobody can say now
                raise Unavailable(f"the search index can't be read now: {reason.decode()[:200]}")
            found |= {one.id: one.source.product for one in answer.docs if one.source is not None}
        return found

    async def _write(self, actions: Iterable[Action] | AsyncIterable[Action]) -> None:
        """A product that the index can't take is left out, since it must not keep back the others. Whatever else stands in the way is waited for."""
        async for id_, status, reason in self._connection.write(actions):
            if NO_INDEX in reason:
                raise Unavailable("the search index was deleted; it is built anew")
            if status in REFUSED_FOR_GOOD:
                log.error("a product can't be put into the search index", product=id_, status=status, reason=reason)
            elif status >= 400 and status not in (OLDER_THAN_IT_HAS, NOT_THERE):
                raise Unavailable(f"the search index takes no products now: {status} {reason}")


def _put(index: str, product: ProductDocument, version: int) -> Action:
    return {"index": _which(index, product.id, version)}, fields.document_of(product)


def _which(index: str, id_: str, version: int) -> dict[str, object]:
    return {"_index": index, "_id": id_, "version": version, "version_type": "external_gte"}


def _figures(product: ProductDocument) -> tuple[object, ...]:
    """What filters, facets and orders go by."""
    return product.in_stock, product.price, product.rating_average, product.rating_count, product.popularity
