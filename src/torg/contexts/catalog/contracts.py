"""What others may know of products: what is offered at which price, and what changed; then what the catalogue itself is asked."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.values import Language, Limit, LongText, MaybeText, Money, ProductId, Text


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A product as it is sold right now. `category_path` goes from department to type, as ids; `on_sale` is False once it is withdrawn."""

    product_id: str
    name: str
    name_ru: str
    price: Money
    category_path: tuple[str, ...]
    brand: str
    weight_grams: int
    on_sale: bool


@message("catalog.get_offers")
class GetOffers(Query[tuple[Offer, ...]], frozen=True):
    """The offers of these products, in this order; products that do not exist are left out."""

    product_ids: tuple[str, ...]


@message("product.added")
class ProductAdded(Event, frozen=True, kw_only=True):
    """A product is on sale for the first time. `category_path` goes from department to type."""

    product_id: str
    name: str
    price: Money
    category_path: tuple[str, ...]
    at: datetime


@message("product.price_changed")
class PriceChanged(Event, frozen=True, kw_only=True):
    """A product costs something else from now on."""

    product_id: str
    price: Money
    old_price: Money


@message("product.changed")
class ProductChanged(Event, frozen=True, kw_only=True):
    """Something else than the price changed: read it again."""

    product_id: str


@message("product.withdrawn")
class ProductWithdrawn(Event, frozen=True):
    """A product is no longer sold."""

    product_id: str


# ---------------------------------------------------------------- asked by shoppers

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


DEAREST = 10**12
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


# ---------------------------------------------------------------- asked by staff and the seeding


def id_rule(value: object, _: datetime) -> str | None:
    if not isinstance(value, str) or not value or (ID_SHAPE.fullmatch(value) and value not in RESERVED_IDS):
        return None
    return "an id has 1 to 64 letters, digits, dots, dashes or underscores, and is none of " + ", ".join(sorted(RESERVED_IDS))


def pictures_rule(value: object, _: datetime) -> str | None:
    if isinstance(value, tuple) and not all(isinstance(url, str) and PICTURE_SHAPE.match(url) for url in value):
        return "a picture is an https:// URL or a path that begins with /"
    return None


def price_rule(value: object, _: datetime) -> str | None:
    if isinstance(value, Money) and not 0 <= value.amount <= DEAREST:
        return f"an amount is from 0 to {DEAREST} minor units"
    return None


ID_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED_IDS = frozenset({"import", "suggest"})
PICTURE_SHAPE = re.compile(r"(https://|/(?!/))[!-~]{1,500}$")

CategoryId = Annotated[str, Meta(min_length=1, max_length=200)]
Label = Annotated[str, Meta(max_length=64)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Grams."""


class Attribute(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact about a product, in the shop's languages; Russian falls back to English."""

    name: Text
    value: Text
    name_ru: MaybeText = ""
    value_ru: MaybeText = ""


class Variant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another product that differs from this one in what the name says: "1 l", "vanilla"."""

    product_id: ProductId
    name: Text
    name_ru: MaybeText = ""


class ProductFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What staff say of a product. `category` is the id of its lowest category; `drawing` names what the shop draws where `pictures` has none, with
    `drawing_label` on it. Russian falls back to English."""

    name: Text
    name_ru: MaybeText = ""
    description: LongText = ""
    description_ru: LongText = ""
    category: CategoryId
    brand: MaybeText = ""
    price: Money
    old_price: Money | None = None
    attributes: tuple[Attribute, ...] = ()
    variants: tuple[Variant, ...] = ()
    pictures: tuple[str, ...] = ()
    drawing: Label = ""
    drawing_label: Label = ""
    weight_grams: Weight = 0


class NewProduct(ProductFacts, frozen=True, kw_only=True, omit_defaults=True):
    """A product as an import brings it. `popularity` is units sold so far; without `created_at` it is new now."""

    id: ProductId
    popularity: Annotated[int, Meta(ge=0, le=10**12)] = 0
    created_at: datetime | None = None


@message("catalog.add_product")
class AddProduct(ProductFacts, Command[ProductView], frozen=True, kw_only=True):
    """An empty id has one made. Raises DomainError `product.exists`, Invalid for an unknown category or another currency."""

    RULES: ClassVar[dict[str, Rule]] = {"id": id_rule, "pictures": pictures_rule, "price": price_rule, "old_price": price_rule}

    staff: Identity
    language: Language = Language.EN
    id: Annotated[str, Meta(max_length=64)] = ""


@message("catalog.change_product")
class ChangeProduct(Command[ProductView], frozen=True, kw_only=True):
    """What is not given stays; `status` brings a withdrawn product back. Raises NotFound `product.not_found`; PreconditionFailed `product.changed`
    where If-Match names versions (`if_versions`) and the product is at another one."""

    RULES: ClassVar[dict[str, Rule]] = {"pictures": pictures_rule, "price": price_rule, "old_price": price_rule}

    product_id: ProductId
    staff: Identity
    language: Language = Language.EN
    if_versions: tuple[int, ...] | None = None
    name: Text | UnsetType = UNSET
    name_ru: MaybeText | UnsetType = UNSET
    description: LongText | UnsetType = UNSET
    description_ru: LongText | UnsetType = UNSET
    category: CategoryId | UnsetType = UNSET
    brand: MaybeText | UnsetType = UNSET
    price: Money | UnsetType = UNSET
    old_price: Money | UnsetType | None = UNSET
    attributes: tuple[Attribute, ...] | UnsetType = UNSET
    variants: tuple[Variant, ...] | UnsetType = UNSET
    pictures: tuple[str, ...] | UnsetType = UNSET
    drawing: Label | UnsetType = UNSET
    drawing_label: Label | UnsetType = UNSET
    weight_grams: Weight | UnsetType = UNSET
    status: Literal["on_sale", "withdrawn"] | UnsetType = UNSET


@message("catalog.withdraw_product")
class WithdrawProduct(Command[None], frozen=True, kw_only=True):
    """Takes it off sale; asking again does nothing. Raises NotFound `product.not_found`; PreconditionFailed `product.changed` where If-Match names
    versions (`if_versions`) and the product is at another one."""

    product_id: ProductId
    staff: Identity
    if_versions: tuple[int, ...] | None = None


class RowError(msgspec.Struct, frozen=True):
    """One row of an import that was not taken; `line` counts from 1 in what was sent."""

    line: int
    field: str
    code: str
    detail: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """`errors` lists the first thousand; `rejected` counts all of them. Sending the same again changes nothing and finishes what was cut short."""

    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    errors: tuple[RowError, ...] = ()


@message("catalog.import_products")
class ImportProducts(Command[ImportReport], frozen=True, kw_only=True):
    """Adds products or brings those with the same ids up to date, in one commit (a thousand at a time is good); `lines` are their places for the report's
    errors, else they are counted from 1."""

    IDEMPOTENT = True

    products: tuple[NewProduct, ...]
    lines: tuple[int, ...] = ()


class Category(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A category; `parent` is empty at the top. Siblings are shown in the order in which they were defined."""

    id: CategoryId
    name: Text
    name_ru: MaybeText = ""
    parent: str = ""
    slug: str = ""


@message("catalog.define_categories")
class DefineCategories(Command[None], frozen=True):
    """Adds these categories or renames and moves those with the same ids; parents before or after their children. Raises Invalid for an unknown parent
    or a circle."""

    IDEMPOTENT = True

    categories: tuple[Category, ...]


@message("catalog.categories_defined")
class CategoriesDefined(Event, frozen=True):
    """These categories are new, renamed or moved."""

    category_ids: tuple[str, ...]


class SynonymGroups(msgspec.Struct, frozen=True):
    """Each group holds words or phrases that mean the same to the search."""

    groups: tuple[tuple[str, ...], ...]


@message("catalog.get_synonyms")
class GetSynonyms(Query[SynonymGroups], frozen=True):
    """All groups of words that mean the same to the search."""


def _groups_rule(value: object, _: datetime) -> str | None:
    if isinstance(value, tuple) and not all(2 <= len(group) <= 20 and all(0 < len(word.strip()) <= 100 for word in group) for group in value):
        return "a group has 2 to 20 words or phrases of up to 100 characters"
    return None


@message("catalog.set_synonyms")
class SetSynonyms(Command[SynonymGroups], frozen=True, kw_only=True):
    """Replaces all groups; searches follow at once."""

    RULES: ClassVar[dict[str, Rule]] = {"groups": _groups_rule}

    staff: Identity
    groups: Annotated[tuple[tuple[str, ...], ...], Meta(max_length=2000)]


@message("catalog.synonyms_set")
class SynonymsSet(Event, frozen=True):
    """These groups took the place of all before them."""

    groups: tuple[tuple[str, ...], ...]


class IndexRebuilt(msgspec.Struct, frozen=True):
    products: int
    seconds: float


@message("catalog.rebuild_index")
class RebuildIndex(Command[IndexRebuilt], frozen=True):
    """Builds the search index anew from the store while the present one serves; answers when the new one serves. Waits for one that is under way."""

    IDEMPOTENT = True
