"""The catalogue's rules: what an edit of a product amounts to, how the tree of categories holds together, and what a reader is shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from torg.contexts.catalog import contracts as c
from torg.kit.errors import FieldError, Invalid
from torg.kit.messages import Event
from torg.kit.values import Language, Money, in_language


class Product(c.ProductFacts, frozen=True, kw_only=True, omit_defaults=True):
    """A product as the store keeps it. `version` counts its edits from 1."""

    id: str
    popularity: int = 0
    status: Literal["on_sale", "withdrawn"] = "on_sale"
    created_at: datetime
    updated_at: datetime
    version: int = 1

    @property
    def on_sale(self) -> bool:
        return self.status == "on_sale"


class Figures(msgspec.Struct, frozen=True):
    """What other contexts tell of a product; the rating is the average in hundredths."""

    quantity: int = 0
    rating_hundredths: int = 0
    rating_count: int = 0


class Stocked(msgspec.Struct, frozen=True):
    """A product with its figures."""

    product: Product
    figures: Figures


FACTS = tuple(c.ProductFacts.__struct_fields__)


def added(said: c.NewProduct, now: datetime) -> Product:
    """A new product from what was said of it."""
    facts = {name: getattr(said, name) for name in FACTS}
    return Product(id=said.id, popularity=said.popularity, created_at=said.created_at or now, updated_at=now, **facts)


def added_event(product: Product, path: tuple[str, ...]) -> c.ProductAdded:
    return c.ProductAdded(product_id=product.id, name=product.name, price=product.price, category_path=path, at=product.created_at)


def brought_up_to_date(product: Product, said: c.NewProduct, now: datetime) -> tuple[Product, list[Event]]:
    """The product after an import names it again: on sale, as it is said now. No events when nothing is different."""
    facts = {name: getattr(said, name) for name in FACTS} | {"status": "on_sale", "popularity": max(product.popularity, said.popularity)}
    return edited(product, facts, now)


def edited(product: Product, changes: Mapping[str, object], now: datetime) -> tuple[Product, list[Event]]:
    """The product after an edit, and what happened; the same product and nothing when the edit changes nothing."""
    differing = {name: value for name, value in changes.items() if value is not UNSET and getattr(product, name) != value}
    if not differing:
        return product, []
    after = replace(product, **differing, updated_at=now, version=product.version + 1)
    events: list[Event] = []
    if product.on_sale and not after.on_sale:
        events.append(c.ProductWithdrawn(product.id))
    if "price" in differing:
        events.append(c.PriceChanged(product_id=product.id, price=after.price, old_price=product.price))
    if differing.keys() - {"price"} and (after.on_sale or not product.on_sale):
        events.append(c.ProductChanged(product_id=product.id))
    return after, events


def faults_of(facts: Mapping[str, object], tree: CategoryTree, currency: str) -> list[FieldError]:
    """What is wrong with facts that the message alone can't tell: the category must exist, money be of the shop's currency."""
    faults: list[FieldError] = []
    category = facts.get("category", UNSET)
    if isinstance(category, str) and category not in tree:
        faults.append(FieldError("category", "category.unknown", f"there is no category {category!r}: GET /categories lists them"))
    for field in ("price", "old_price"):
        money = facts.get(field, UNSET)
        if isinstance(money, Money) and money.currency != currency:
            faults.append(FieldError(field, "currency.other", f"prices here are in {currency}, not {money.currency}"))
    return faults


# ---------------------------------------------------------------- categories


class CategoryTree:
    """The categories as a tree; it never changes, a changed one is made anew. Remembers the paths it has worked out."""

    def __init__(self, categories: Iterable[c.Category]) -> None:
        self.categories = {category.id: category for category in categories}
        self._paths: dict[str, tuple[c.Category, ...]] = {}
        self._refs: dict[tuple[str, Language], tuple[c.CategoryRef, ...]] = {}

    def __contains__(self, category_id: str) -> bool:
        return category_id in self.categories

    def path(self, category_id: str) -> tuple[c.Category, ...]:
        """From the department down to the category; empty for an unknown one."""
        if category_id not in self._paths:
            path: list[c.Category] = []
            category = self.categories.get(category_id)
            while category is not None:
                path.append(category)
                category = self.categories.get(category.parent)
            self._paths[category_id] = tuple(reversed(path))
        return self._paths[category_id]

    def path_ids(self, category_id: str) -> tuple[str, ...]:
        return tuple(category.id for category in self.path(category_id))

    def refs(self, category_id: str, language: Language) -> tuple[c.CategoryRef, ...]:
        """The path as a reader sees it."""
        key = (category_id, language)
        if key not in self._refs:
            self._refs[key] = tuple(c.CategoryRef(one.id, in_language(one.name, one.name_ru, language)) for one in self.path(category_id))
        return self._refs[key]

    def with_(self, categories: Sequence[c.Category]) -> CategoryTree:
        """With these added or replaced. Raises Invalid for a parent that does not exist, or a circle."""
        after = CategoryTree([*(self.categories | {category.id: _with_slug(category) for category in categories}).values()])
        faults = [fault for at, category in enumerate(categories) if (fault := after._fault(category, f"categories.{at}.parent"))]
        if faults:
            raise Invalid.fields(*faults)
        return after

    def below(self, category_ids: Collection[str]) -> set[str]:
        """These categories and all that lie in one of them."""
        wanted = set(category_ids)
        return {id_ for id_ in self.categories if not wanted.isdisjoint(self.path_ids(id_))}

    def shown(self, counts: Mapping[str, int], language: Language) -> tuple[c.CategoryNode, ...]:
        """The tree for a reader; `counts` are of products whose lowest category it is."""
        below: dict[str, list[c.Category]] = {}
        for category in self.categories.values():
            below.setdefault(category.parent, []).append(category)
        return tuple(_node(category, below, counts, language) for category in below.get("", []))

    def _fault(self, category: c.Category, field: str) -> FieldError | None:
        seen, parent = {category.id}, category.parent
        while parent:
            if parent in seen:
                return FieldError(field, "category.circle", f"{category.id!r} would lie in itself by way of {parent!r}")
            if parent not in self.categories:
                return FieldError(field, "category.unknown", f"there is no category {parent!r} to be the parent")
            seen.add(parent)
            parent = self.categories[parent].parent
        return None


def _with_slug(category: c.Category) -> c.Category:
    return category if category.slug else replace(category, slug=slug(category.name) or category.id)


def slug(name: str) -> str:
    """`Beer, wine and spirits` -> `beer-wine-and-spirits`."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower().replace("'", "")).split())


def _node(category: c.Category, below: Mapping[str, list[c.Category]], counts: Mapping[str, int], language: Language) -> c.CategoryNode:
    children = tuple(_node(child, below, counts, language) for child in below.get(category.id, ()))
    count = counts.get(category.id, 0) + sum(child.product_count for child in children)
    return c.CategoryNode(category.id, in_language(category.name, category.name_ru, language), category.slug, count, children)


# ---------------------------------------------------------------- what a reader is shown


def pictures_of(product_id: str, pictures: tuple[str, ...]) -> tuple[str, ...]:
    """The product's own pictures, or the one that the shop draws."""
    return pictures or (f"/pictures/{product_id}.svg",)


def view(stocked: Stocked, tree: CategoryTree, language: Language) -> c.ProductView:
    product, figures = stocked.product, stocked.figures
    return c.ProductView(
        id=product.id,
        name=in_language(product.name, product.name_ru, language),
        category=product.category,
        category_path=tree.refs(product.category, language),
        brand=product.brand,
        price=product.price,
        old_price=product.old_price or UNSET,
        quantity=figures.quantity,
        in_stock=figures.quantity > 0,
        rating=c.RatingSummary(figures.rating_hundredths / 100, figures.rating_count),
        pictures=pictures_of(product.id, product.pictures),
        created_at=product.created_at,
        updated_at=product.updated_at,
        description=in_language(product.description, product.description_ru, language),
        attributes=tuple([c.ShownAttribute(in_language(a.name, a.name_ru, language), in_language(a.value, a.value_ru, language)) for a in product.attributes]),
        variants=tuple([c.ShownVariant(v.product_id, in_language(v.name, v.name_ru, language)) for v in product.variants]),
        weight_grams=product.weight_grams,
        version=product.version,
    )


def listed(stocked: Stocked, tree: CategoryTree, language: Language) -> c.ListedProduct:
    shown = view(stocked, tree, language)
    return c.ListedProduct(**{name: getattr(shown, name) for name in c.ListedProduct.__struct_fields__})


def offer(product: Product, tree: CategoryTree) -> c.Offer:
    return c.Offer(
        product_id=product.id,
        name=product.name,
        name_ru=product.name_ru or product.name,
        price=product.price,
        category_path=tree.path_ids(product.category),
        brand=product.brand,
        weight_grams=product.weight_grams,
        on_sale=product.on_sale,
    )
