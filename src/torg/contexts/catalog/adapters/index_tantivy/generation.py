"""One generation of the index: a folder of tantivy's and its one writer. All methods but `searcher` belong to a worker thread."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from tantivy import Index, IndexWriter, Query, Searcher

from torg.contexts.catalog.adapters.index_common.changes import Update, Updates, changed
from torg.contexts.catalog.adapters.index_common.words import Stemmer
from torg.contexts.catalog.adapters.index_tantivy.fields import LARGEST_NUMBER, columns, indexed, product_of, schema
from torg.contexts.catalog.adapters.index_tantivy.names import Names
from torg.contexts.catalog.ports import ProductChange, ProductDocument

WRITER_MEMORY = 15_000_000  # bytes, tantivy's least: batches are small, and a rebuild gains little from more
BREATHE_EVERY = 8  # products: then the event loop gets its turn at the interpreter


class Generation:
    """Products on disk and in the present searcher. A product keeps its number for life, also from one generation to its successor."""

    def __init__(self, folder: Path, stemmer: Stemmer, predecessor: Generation | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._stemmer = stemmer
        self._predecessor = predecessor
        self.schema = schema()
        self._index = Index(self.schema, path=str(folder))
        self._writer: IndexWriter | None = None
        self.searcher: Searcher = self._index.searcher()
        self.names = Names(folder)
        self._numbers: Iterator[int] = predecessor._numbers if predecessor else count(self._largest_number() + 1)

    def successor(self, folder: Path) -> Generation:
        """A new one, empty, in an empty folder."""
        shutil.rmtree(folder, ignore_errors=True)
        return Generation(folder, self._stemmer, self)

    def _largest_number(self) -> int:
        hits = self.searcher.search(Query.all_query(), 1, count=False, order_by_field="number").hits
        return int(hits[0][0]) if hits else 0

    def known_number(self, id_: str) -> int | None:
        hits = self.searcher.search(Query.term_query(self.schema, "id", id_), 1, count=False, order_by_field="number").hits
        return int(hits[0][0]) if hits else None

    def product(self, id_: str) -> ProductDocument | None:
        hits = self.searcher.search(Query.term_query(self.schema, "id", id_), 1, count=False).hits
        return product_of(bytes(self.searcher.doc(hits[0][1]).get_first("source") or b"")) if hits else None

    def apply(self, updates: Mapping[str, Update], everything: bool) -> Updates:
        """Writes the updates and commits if need be.

        Left out and returned, unless `everything`, are those that no search could tell apart: a sale changes the quantity of
        almost every popular product and the outcome of almost no search, so such updates wait for each other.
        """
        quiet: Updates = {}
        for at, (id_, update) in enumerate(updates.items()):
            if at % BREATHE_EVERY == 0:
                time.sleep(0)
            if isinstance(update, ProductDocument):
                self.add(update)
            elif update is None:
                self._open_writer().delete_documents_by_term("id", id_)
            elif self._change(update, everything):
                quiet[id_] = update
        if len(quiet) < len(updates):
            self.commit()
        return quiet

    def add(self, product: ProductDocument) -> None:
        number = self._number(product.id)
        if number > LARGEST_NUMBER:
            raise OverflowError(f"this index numbers at most {LARGEST_NUMBER} products over its life; begin a new folder, or use Elasticsearch")
        writer = self._open_writer()
        writer.delete_documents_by_term("id", product.id)
        writer.add_document(indexed(product, columns(product, number) | self.names.numbers(product), self._stemmer))

    def add_all(self, products: Sequence[ProductDocument]) -> None:
        for at, product in enumerate(products):
            if at % BREATHE_EVERY == 0:
                time.sleep(0)
            self.add(product)

    def commit(self) -> None:
        self.names.save()
        self._open_writer().commit()
        self._index.reload()
        self.searcher = self._index.searcher()

    def rollback(self) -> None:
        if self._writer is not None:
            self._writer.rollback()

    def stand_alone(self) -> None:
        """Every number that the predecessor gave has been taken over."""
        self._predecessor = None

    def close(self) -> None:
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None

    def discard(self) -> None:
        """For good; readers that still hold its searcher keep the files they have open."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _number(self, id_: str) -> int:
        inherited = self._predecessor.known_number(id_) if self._predecessor else None
        return inherited or self.known_number(id_) or next(self._numbers)

    def _change(self, change: ProductChange, everything: bool) -> bool:
        """Whether the change may wait."""
        product = self.product(change.id)
        if product is None:
            return False
        after = changed(product, change)
        if not everything and _figures(product) == _figures(after):
            return True
        self.add(after)
        return False

    def _open_writer(self) -> IndexWriter:
        if self._writer is None:
            self._writer = self._index.writer(heap_size=WRITER_MEMORY, num_threads=1)
        return self._writer


def _figures(product: ProductDocument) -> tuple[bool, dict[str, int]]:
    """What filters, facets and orders go by."""
    return product.in_stock, columns(product, 0)
