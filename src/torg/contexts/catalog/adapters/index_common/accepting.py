"""What every product index does alike: remembers what people asked for, and takes changes in until they are written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from torg.contexts.catalog.adapters.index_common.changes import Update, Updates, merge
from torg.contexts.catalog.adapters.index_common.suggesting import PastQueries
from torg.contexts.catalog.ports import PastQuery, ProductChange, ProductDocument


class Accepting(ABC):
    """These parts of the port ProductIndex; `_accept` takes updates in, by product."""

    def __init__(self) -> None:
        self._past = PastQueries()

    @abstractmethod
    async def _accept(self, updates: Mapping[str, Update], position: int | None) -> None: ...

    def note_query(self, text: str) -> None:
        self._past.note(text)

    def fresh_queries(self) -> tuple[PastQuery, ...]:
        return self._past.take_fresh()

    def past_queries(self) -> tuple[PastQuery, ...]:
        return self._past.all()

    def remember_queries(self, queries: Iterable[PastQuery]) -> None:
        self._past.replace(queries)

    async def put(self, documents: Sequence[ProductDocument], position: int | None = None) -> None:
        await self._accept({document.id: document for document in documents}, position)

    async def change(self, changes: Sequence[ProductChange], position: int | None = None) -> None:
        updates: Updates = {}
        for change in changes:
            merge(updates, {change.id: change})
        await self._accept(updates, position)

    async def remove(self, ids: Iterable[str], position: int | None = None) -> None:
        await self._accept(dict.fromkeys(ids), position)
