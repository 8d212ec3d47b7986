"""What the catalogue keeps in MongoDB, as data: collections, their indexes, and the shape that the server itself holds documents to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Index:
    """Another definition needs another name."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """A collection. `properties` are the server's rules ($jsonSchema) for fields that every document has (`required`) or may have."""

    name: str
    required: tuple[str, ...]
    properties: Mapping[str, Any]
    indexes: tuple[Index, ...] = ()

    @property
    def validator(self) -> dict[str, Any]:
        return {"$jsonSchema": {"bsonType": "object", "required": list(self.required), "properties": dict(self.properties)}}


TEXT: Final = {"bsonType": "string"}
NAME: Final = {"bsonType": "string", "minLength": 1}
COUNT: Final = {"bsonType": ["int", "long"], "minimum": 0}
NUMBER: Final = {"bsonType": ["int", "long"], "minimum": 1}
MONEY: Final = {
    "bsonType": "object",
    "required": ["amount", "currency"],
    "properties": {"amount": COUNT, "currency": {"bsonType": "string", "pattern": "^[A-Z]{3}$"}},
}


def _list_of(required: tuple[str, ...], optional: tuple[str, ...]) -> dict[str, Any]:
    names = dict.fromkeys(required, NAME) | dict.fromkeys(optional, TEXT)
    return {"bsonType": "array", "items": {"bsonType": "object", "required": list(required), "properties": names}}


PRODUCTS: Final = Shape(
    "products",
    required=("_id", "name", "category", "price", "status", "version", "revision", "created_at", "updated_at"),
    properties={
        "_id": NAME, "name": NAME, "name_ru": TEXT, "description": TEXT, "description_ru": TEXT, "category": NAME, "brand": TEXT,
        "price": MONEY, "old_price": MONEY, "popularity": COUNT, "weight_grams": COUNT,
        "attributes": _list_of(("name", "value"), ("name_ru", "value_ru")),
        "variants": _list_of(("product_id", "name"), ("name_ru",)),
        "pictures": {"bsonType": "array", "items": NAME}, "drawing": TEXT, "drawing_label": TEXT,
        "status": {"enum": ["on_sale", "withdrawn"]}, "version": NUMBER, "revision": NUMBER,
        "created_at": NAME, "updated_at": NAME,  # as text: a date of MongoDB's would lose the microseconds
    },
    indexes=(Index("by_revision", ("revision",)), Index("by_status_and_category", ("status", "category"))),
)  # fmt: skip
CATEGORIES: Final = Shape(
    "categories",
    required=("_id", "name", "place", "revision"),
    properties={"_id": NAME, "name": NAME, "name_ru": TEXT, "parent": TEXT, "slug": TEXT, "place": NUMBER, "revision": NUMBER},
)
SHAPES: Final = (PRODUCTS, CATEGORIES)
OWNERS: Final = "owners"
"""Whose documents these are: one for each context."""
