"""What staff and imports say of products."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from torg.contexts.catalog.contracts.arranging import CategoryId
from torg.contexts.catalog.contracts.offers import DEAREST
from torg.contexts.catalog.contracts.shopping import ProductView
from torg.kit.auth import Identity
from torg.kit.messages import Command, Rule, message
from torg.kit.values import Language, LongText, MaybeText, Money, ProductId, Text

ID_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED_IDS = frozenset({"import", "suggest"})
PICTURE_SHAPE = re.compile(r"(https://|/(?!/))[!-~]{1,500}$")

Label = Annotated[str, Meta(max_length=64)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
"""Grams."""


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
