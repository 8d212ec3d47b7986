"""What the catalogue needs from engines: the search index over products, then the store. Prices in the index are integer minor units, times aware UTC."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from msgspec import UNSET, Struct, UnsetType

from torg.contexts.catalog.contracts import Category, NewProduct, Offer, RowError
from torg.contexts.catalog.model import CategoryTree, Figures, Product, Stocked
from torg.kit.calls import Call
from torg.kit.deps import Deps
from torg.kit.store import Transaction
from torg.kit.values import Language

Sort = Literal["relevance", "price", "-price", "-rating", "-created_at", "-popularity"]
SuggestionKind = Literal["product", "category", "query"]

LARGEST_PAGE = 100
HIGHEST_RATING = 5


class BadCursor(ValueError):
    """The cursor was not made by this index for this search; start again without one."""


class CategoryName(Struct, frozen=True):
    """A node of the category tree as a product carries it."""

    id: str
    name: str
    name_ru: str = ""


class ProductCard(Struct, frozen=True, kw_only=True):
    """All that a list shows of a product, so that a list needs no second store. `category_path` runs from department to type."""

    id: str
    name: str
    name_ru: str = ""
    category_path: tuple[CategoryName, ...] = ()
    brand: str = ""
    price: int
    old_price: int | None = None
    quantity: int = 0
    rating_average: float = 0.0
    rating_count: int = 0
    picture: str | None = None
    popularity: int = 0
    created_at: datetime
    updated_at: datetime | None = None

    def __post_init__(self) -> None:
        _check_figures(self.price, self.quantity, self.rating_average, self.rating_count, self.popularity)
        if self.created_at.tzinfo is None:
            raise ValueError("created_at has no time zone; give it in UTC")

    @property
    def in_stock(self) -> bool:
        return self.quantity > 0

    @property
    def category(self) -> str:
        """The id of the lowest category, or nothing."""
        return self.category_path[-1].id if self.category_path else ""


class ProductDocument(ProductCard, frozen=True, kw_only=True):
    """A product as it is put into the index: the card, and the long texts that only searching needs."""

    description: str = ""
    description_ru: str = ""
    keywords: tuple[str, ...] = ()


class ProductChange(Struct, frozen=True, kw_only=True):
    """New figures of a product that is already there; what is unset stays. Values are absolute, so applying one twice is harmless."""

    id: str
    price: int | UnsetType = UNSET
    old_price: int | UnsetType | None = UNSET
    quantity: int | UnsetType = UNSET
    rating_average: float | UnsetType = UNSET
    rating_count: int | UnsetType = UNSET
    popularity: int | UnsetType = UNSET

    def __post_init__(self) -> None:
        _check_figures(self.price, self.quantity, self.rating_average, self.rating_count, self.popularity)


class SearchRequest(Struct, frozen=True, kw_only=True):
    """A search. `category` includes everything below it, price bounds are inclusive, `language` chooses the names of facet values. `counted`: whether the
    total and the facets are wanted; where they are not, an index may leave them out."""

    text: str = ""
    category: str | None = None
    brand: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    in_stock: bool | None = None
    rating_min: float | None = None
    sort: Sort = "relevance"
    limit: int = 24
    cursor: str | None = None
    language: Language = Language.EN
    counted: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= LARGEST_PAGE:
            raise ValueError(f"limit is {self.limit}; it must be from 1 to {LARGEST_PAGE}")
        if self.rating_min is not None and not 0 <= self.rating_min <= HIGHEST_RATING:
            raise ValueError(f"rating_min is {self.rating_min}; it must be from 0 to {HIGHEST_RATING}")


class FacetValue(Struct, frozen=True):
    """`value` works as the filter of the same name and then finds exactly `count` (price: `min-max`, open at the end; rating: at least)."""

    value: str
    name: str
    count: int


class Facets(Struct, frozen=True):
    """What the other filters leave, counted exactly; of categories (all levels of the tree) and brands the hundred most frequent."""

    category: tuple[FacetValue, ...] = ()
    brand: tuple[FacetValue, ...] = ()
    price: tuple[FacetValue, ...] = ()
    rating: tuple[FacetValue, ...] = ()


class SearchPage(Struct, frozen=True):
    """A page of results; `corrected_query` is what was searched for instead, when that differs from what was typed. `understood`: all of its words are the
    catalogue's own, so it may be suggested to others."""

    items: tuple[ProductCard, ...]
    total: int
    facets: Facets
    next_cursor: str | None = None
    corrected_query: str | None = None
    understood: bool = False


class Suggestion(Struct, frozen=True):
    """A completion of what is being typed; `id` is the product's or the category's."""

    text: str
    kind: SuggestionKind
    id: str | None = None


class PastQuery(Struct, frozen=True):
    """A query and how often it was asked, for the caller to keep across restarts."""

    text: str
    times: int


def _check_figures(price: int | UnsetType, quantity: int | UnsetType, rating: float | UnsetType, ratings: int | UnsetType, popularity: int | UnsetType) -> None:
    """Refuses here what an index could only choke on later, together with everything that waits beside it."""
    for name, figure in (("price", price), ("quantity", quantity), ("rating_count", ratings), ("popularity", popularity)):
        if figure is not UNSET and not 0 <= figure < 1 << 63:
            raise ValueError(f"{name} is {figure}; it must be zero or more")
    if rating is not UNSET and not 0 <= rating <= HIGHEST_RATING:
        raise ValueError(f"rating_average is {rating}; it must be from 0 to {HIGHEST_RATING}")


class ProductIndex(Protocol):
    """Finds products in Russian and English.

    Updates are accepted at once and become visible, and durable, with the next batch: within a second while `run` runs, or
    when `flush` returns. They may be repeated: each carries absolute values. `position` given with an update is the store's revision
    that it was read at or after: late updates, from a process that was held up, do no harm to newer ones.

    Several processes may search one index, and one of them at a time feeds it. All raise Unavailable when the index doesn't answer.
    """

    @property
    def position(self) -> int | None:
        """Everything up to this revision is durable in the index, as far as this process has heard; None: nothing is, rebuild it."""
        ...

    async def claim(self, at_once: bool = False) -> bool:
        """Whether this process is the one to feed the index: it becomes so when no other has been lately, or `at_once`, in the place of the other. To be asked
        again and again; once it is so `position` is certain."""
        ...

    async def check(self) -> str:
        """An empty text, or why nothing can be searched for. An engine that is away for a while is no reason: all that needs no search goes on."""
        ...

    async def search(self, request: SearchRequest) -> SearchPage:
        """Raises BadCursor. A cursor neither repeats nor skips a product while nothing changes, in every sort order."""
        ...

    async def suggest(self, text: str, limit: int = 10) -> tuple[Suggestion, ...]: ...

    def note_query(self, text: str) -> None:
        """Remembers a query that was understood and found something, for suggestions."""
        ...

    def fresh_queries(self) -> tuple[PastQuery, ...]:
        """What was noted since this was asked last, for the caller to keep beside what other processes noted."""
        ...

    def past_queries(self) -> tuple[PastQuery, ...]:
        """All that are suggested from."""
        ...

    def remember_queries(self, queries: Iterable[PastQuery]) -> None:
        """Suggests from these from now on, besides what is fresh."""
        ...

    async def put(self, documents: Sequence[ProductDocument], position: int | None = None) -> None:
        """Adds products or replaces those with the same ids."""
        ...

    async def change(self, changes: Sequence[ProductChange], position: int | None = None) -> None:
        """Changes figures of products; those the index doesn't have are left out."""
        ...

    async def remove(self, ids: Iterable[str], position: int | None = None) -> None: ...

    async def set_synonyms(self, groups: Iterable[Sequence[str]]) -> None:
        """Replaces all synonyms: each group is a set of words or phrases that mean the same. In effect when this returns."""
        ...

    async def rebuild(self, documents: Iterable[ProductDocument] | AsyncIterable[ProductDocument], position: int | None = None) -> None:
        """Builds the index anew from all products, which were read at or after `position`, while the present one serves; then swaps.

        Updates that arrive meanwhile are applied on top. Cursors stay good.
        """
        ...

    async def flush(self) -> None:
        """Returns when everything accepted before is visible and durable."""
        ...

    async def run(self) -> None:
        """Writes accepted updates in batches until cancelled; to be supervised."""
        ...

    async def close(self) -> None: ...


# ---------------------------------------------------------------- the store


class Changes(Struct, frozen=True):
    """What happened in the store behind a revision, up to `revision`: products that were edited, and those of which the figures are new."""

    products: Sequence[Stocked]
    figures: Sequence[tuple[str, Figures]]
    revision: int


class ProductStore(Protocol):
    """Product documents, and beside them the figures that other contexts tell. Each change of either takes the next revision: the index follows those."""

    async def find(self, product_id: str) -> Stocked | None: ...

    async def find_all(self, product_ids: Sequence[str]) -> Sequence[Stocked]:
        """In this order; products that do not exist are left out."""
        ...

    async def offers(self, product_ids: Sequence[str]) -> tuple[Offer, ...]:
        """As find_all; remembers offers, but none is older than the last commit of this process, or than what others committed some seconds ago."""
        ...

    async def load(self, tx: Transaction, product_ids: Sequence[str]) -> dict[str, Product]:
        """Those that exist, to be changed."""
        ...

    async def save(self, tx: Transaction, products: Sequence[Product]) -> None:
        """Adds them or puts them in the place of older versions. Raises ConcurrentChange when one of them is there in that version or a later one."""
        ...

    async def renew(self, tx: Transaction, category_ids: Collection[str]) -> None:
        """Gives the products of these categories new revisions, though they stay as they are: what they lie in was renamed or moved."""
        ...

    async def set_quantities(self, tx: Transaction, quantities: Mapping[str, int]) -> None:
        """Units that can be sold now, also of products that are not (yet) in the catalogue."""
        ...

    async def set_rating(self, tx: Transaction, product_id: str, hundredths: int, count: int) -> None: ...

    async def revision(self) -> int:
        """The newest; 0 in an empty store."""
        ...

    async def changes(self, after: int, limit: int) -> Changes:
        """At most `limit` products and as many figures, oldest first."""
        ...

    def on_sale(self) -> AsyncIterator[Stocked]:
        """All products on sale; sees no single moment of the store, but every product that was on sale all along."""
        ...

    async def shelf(self, category_ids: Collection[str], limit: int) -> Sequence[Stocked]:
        """At most `limit` products on sale that lie in these categories, the same ones each time; those of the last seconds may be missing."""
        ...

    async def count_by_category(self) -> Mapping[str, int]:
        """Products on sale by their lowest category."""
        ...


class CategoryStore(Protocol):
    """The tree of categories."""

    async def tree(self, fresh: bool = False) -> CategoryTree:
        """Kept in memory, for seconds only where other processes may change it; `fresh`: as it is now."""
        ...

    async def define(self, tx: Transaction, tree: CategoryTree, categories: Sequence[Category]) -> None:
        """Files new or changed categories of a tree that has them already."""
        ...


class SearchMemory(Protocol):
    """What the search has been told and has learnt, for the next start."""

    async def synonyms(self) -> Sequence[tuple[str, ...]]: ...
    async def set_synonyms(self, tx: Transaction, groups: Sequence[tuple[str, ...]]) -> None: ...
    async def past_queries(self) -> Sequence[PastQuery]: ...
    async def keep_past_queries(self, tx: Transaction, queries: Sequence[PastQuery]) -> None:
        """Counts them on top of what was kept; the rarest give way when there are too many."""
        ...


class IndexFeed(Protocol):
    """Brings the store's changes into the index."""

    def wake(self) -> None:
        """Something has changed."""
        ...

    async def rebuild(self) -> int:
        """Builds the index anew; how many products it holds."""
        ...


class ImportRow(NamedTuple):
    """A row of an import by the line it begins on: the product it is, or what is wrong with it."""

    line: int
    product: NewProduct | None
    errors: tuple[RowError, ...] = ()


class RowReader(Protocol):
    """Bytes go in as they come, rows come out. Raises Invalid for what makes all further reading senseless."""

    def feed(self, chunk: bytes) -> Iterator[ImportRow]: ...
    def end(self) -> Iterator[ImportRow]:
        """What was waiting for more."""
        ...


RowsOf = Callable[[str, str], RowReader]
"""The reader for a Content-Type, given the shop's currency. Raises UnsupportedMediaType."""

Draw = Callable[[str, str, str, str], str]
"""Draws a product: its id, the name of what to draw, its brand and its label become an SVG document, always the same."""


@dataclass(frozen=True)
class CatalogDeps(Deps):
    """`spare` asks for what an answer can do without. `purge` forgets answers kept at the edge, by tag."""

    spare: Call
    products: ProductStore
    categories: CategoryStore
    memory: SearchMemory
    index: ProductIndex
    feed: IndexFeed
    draw: Draw
    rows_of: RowsOf
    purge: Callable[..., None]
