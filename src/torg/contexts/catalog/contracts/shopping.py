"""What shoppers ask of the catalogue, and what they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from torg.contexts.catalog.contracts.offers import DEAREST
from torg.kit.messages import Query, message
from torg.kit.values import Language, Limit, MaybeText, Money, ProductId

Sort = Literal["relevance", "price", "-price", "-rating", "-created_at", "-popularity"]


class CategoryRef(msgspec.Struct, frozen=True):
    """A category by id, with its name in the reader's language."""

    id: str
    name: str


class RatingSummary(msgspec.Struct, frozen=True):
    """Over all published reviews; the average of none is 0."""

    average: float
    count: int


class ListedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product as lists show it. `category` is the id of its lowest category; `quantity` is what can be sold now; `pictures` may be relative URLs."""

    id: str
    name: str
    category: str
    category_path: tuple[CategoryRef, ...]
    brand: str
    price: Money
    old_price: Money | UnsetType = UNSET
    quantity: int
    in_stock: bool
    rating: RatingSummary
    pictures: tuple[str, ...]
    created_at: datetime
    updated_at: datetime


class ShownAttribute(msgspec.Struct, frozen=True):
    name: str
    value: str


class ShownVariant(msgspec.Struct, frozen=True):
    """Another product that differs from this one in what `name` says."""

    id: str
    name: str


class ProductView(ListedProduct, frozen=True, kw_only=True):
    """A product's page. `version` counts its edits, and its ETag begins with it."""

    description: str
    attributes: tuple[ShownAttribute, ...]
    variants: tuple[ShownVariant, ...]
    weight_grams: int
    version: int


class FacetValue(msgspec.Struct, frozen=True):
    """`value` works as the filter of the facet's name (price: `min-max`, open at the end; rating: at least) and then finds `count` products."""

    value: str
    name: str
    count: int


class Facets(msgspec.Struct, frozen=True):
    """Each counted under all filters but its own."""

    category: tuple[FacetValue, ...]
    brand: tuple[FacetValue, ...]
    price: tuple[FacetValue, ...]
    rating: tuple[FacetValue, ...]


class ProductPage(msgspec.Struct, frozen=True, kw_only=True):
    """`corrected_query` is there when something else was searched for than what was typed."""

    items: tuple[ListedProduct, ...]
    next_cursor: str | None
    total: int
    facets: Facets
    corrected_query: str | UnsetType = UNSET


Price = Annotated[int, Meta(ge=0, le=DEAREST)]
"""Minor units of the shop's currency."""


@message("catalog.list_products")
class ListProducts(Query[ProductPage], frozen=True, kw_only=True):
    """Products found by words, category (with all below it), brand, price (inclusive) and rating (at least)."""

    query: MaybeText = ""
    category: str = ""
    brand: str = ""
    price_min: Price | None = None
    price_max: Price | None = None
    in_stock: bool | None = None
    rating_min: Annotated[float, Meta(ge=0, le=5)] | None = None
    sort: Sort = "relevance"
    limit: Limit = 24
    cursor: str = ""
    language: Language = Language.EN


@message("catalog.get_product")
class GetProduct(Query[ProductView], frozen=True, kw_only=True):
    """Raises NotFound `product.not_found`, also for a withdrawn product."""

    product_id: ProductId
    language: Language = Language.EN


@message("catalog.list_products_by_id")
class ListProductsById(Query[tuple[ListedProduct, ...]], frozen=True, kw_only=True):
    """Products on sale among these, in this order; for pages that know which ones they want."""

    product_ids: tuple[str, ...]
    language: Language = Language.EN


@message("catalog.list_shelf")
class ListShelf(Query[tuple[ListedProduct, ...]], frozen=True, kw_only=True):
    """Some of what is on sale in a category and below it, in no order of merit: for pages while nobody can search."""

    category: str
    limit: Limit = 24
    language: Language = Language.EN


class SuggestedText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A completion of what is being typed; `id` is the product's or the category's."""

    text: str
    kind: Literal["product", "category", "query"]
    id: str = ""


class SuggestionList(msgspec.Struct, frozen=True):
    items: tuple[SuggestedText, ...]


@message("catalog.suggest")
class Suggest(Query[SuggestionList], frozen=True, kw_only=True):
    """Up to `limit` completions: of products' and categories' names, and of what others searched for."""

    query: MaybeText
    limit: Annotated[int, Meta(ge=1, le=10)] = 10


class RecommendedProducts(msgspec.Struct, frozen=True):
    """`missing` names what nobody can tell just now."""

    bought_together: tuple[ListedProduct, ...]
    similar: tuple[ListedProduct, ...]
    missing: tuple[Literal["bought_together", "similar"], ...] = ()


@message("catalog.recommend")
class Recommend(Query[RecommendedProducts], frozen=True, kw_only=True):
    """What others bought with it, and what is like it. Raises NotFound `product.not_found`."""

    product_id: ProductId
    limit: Annotated[int, Meta(ge=1, le=24)] = 12
    language: Language = Language.EN


class CategoryNode(msgspec.Struct, frozen=True):
    """`product_count` is of products on sale, those below included."""

    id: str
    name: str
    slug: str
    product_count: int
    children: tuple[CategoryNode, ...] = ()


class CategoryList(msgspec.Struct, frozen=True):
    items: tuple[CategoryNode, ...]


@message("catalog.list_categories")
class ListCategories(Query[CategoryList], frozen=True, kw_only=True):
    """The whole tree."""

    language: Language = Language.EN
