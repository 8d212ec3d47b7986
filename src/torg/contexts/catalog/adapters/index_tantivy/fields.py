"""The fields of the index, and how a product becomes one document of it.

Texts are analysed before they get here (words.py), so tantivy only splits them at spaces. Sorting goes by numbers that are unique: the
sort value in the upper bits, the product's number in the lower ones; that makes a page a plain range of one column, so that a cursor
neither repeats nor skips, however many products share a price.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from tantivy import Document, Schema, SchemaBuilder

from torg.contexts.catalog.adapters.index_common import cursors
from torg.contexts.catalog.adapters.index_common.facet_values import rating_units
from torg.contexts.catalog.adapters.index_common.words import Stemmer, words_of
from torg.contexts.catalog.ports import ProductCard, ProductDocument

VERSION = 2  # raise it when fields or analysis change: an index of another version is built anew

NUMBER_BITS = 23
LARGEST_NUMBER = (1 << NUMBER_BITS) - 1
LARGEST_VALUE = (1 << (63 - NUMBER_BITS)) - 1
COUNT_BITS = 17
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

SORT_FIELDS = {
    "price": "by_price",
    "-price": "by_price",
    "-rating": "by_rating",
    "-created_at": "by_created_at",
    "-popularity": "by_popularity",
    "relevance": "by_popularity",
}


class Place(cursors.Place, frozen=True, array_like=True):
    """The last product of a page: its tier of relevance and its sort key."""

    tier: Annotated[int, msgspec.Meta(ge=0)]
    key: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


_encoder = msgspec.json.Encoder()
_card_decoder = msgspec.json.Decoder(ProductCard)
_document_decoder = msgspec.json.Decoder(ProductDocument)


def schema() -> Schema:
    builder = SchemaBuilder()
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    builder.add_text_field("name", tokenizer_name="whitespace", index_option="position")  # stems of the names
    builder.add_text_field("kind", tokenizer_name="whitespace", index_option="basic")  # stems of the categories' names
    builder.add_text_field("everything", tokenizer_name="whitespace", index_option="basic")  # all stems
    builder.add_text_field("word", tokenizer_name="whitespace", index_option="basic")  # whole words of names and brand
    builder.add_text_field("kind_word", tokenizer_name="whitespace", index_option="basic")  # whole words of the categories' names
    builder.add_text_field("category", tokenizer_name="raw", index_option="basic")  # every id of the path, to filter by
    builder.add_text_field("brand", tokenizer_name="raw", index_option="basic")
    builder.add_boolean_field("in_stock", indexed=True)
    for column in ("number", "brand_number", "path_number", "price", "rating", *dict.fromkeys(SORT_FIELDS.values())):
        builder.add_unsigned_field(column, fast=True)
    builder.add_bytes_field("source", stored=True)
    return builder.build()


def indexed(product: ProductDocument, numbers: Mapping[str, int], stemmer: Stemmer) -> Document:
    """The product as the index keeps it, with all of it stored; `numbers` are its columns."""
    document = Document()
    document.add_text("id", product.id)
    _add_texts(document, product, stemmer)
    for category in product.category_path:
        document.add_text("category", category.id)
    if product.brand:
        document.add_text("brand", product.brand)
    document.add_boolean("in_stock", product.in_stock)
    for column, value in numbers.items():
        document.add_unsigned(column, value)
    document.add_bytes("source", _encoder.encode(product))
    return document


def columns(product: ProductCard, number: int) -> dict[str, int]:
    rating = rating_units(product.rating_average)
    return {
        "number": number,
        "price": product.price,
        "rating": rating,
        "by_price": sort_key(product.price, number),
        "by_rating": sort_key(rating << COUNT_BITS | min(product.rating_count, (1 << COUNT_BITS) - 1), number),
        "by_created_at": sort_key(int((product.created_at - EPOCH).total_seconds() * 1000), number),
        "by_popularity": sort_key(product.popularity, number),
    }


def sort_key(value: int, number: int) -> int:
    """Values beyond 40 bits (created before 2000, a price over ten billion) share the outermost place."""
    return max(0, min(value, LARGEST_VALUE)) << NUMBER_BITS | number


def card_of(source: bytes) -> ProductCard:
    return _card_decoder.decode(source)


def product_of(source: bytes) -> ProductDocument:
    return _document_decoder.decode(source)


def _add_texts(document: Document, product: ProductDocument, stemmer: Stemmer) -> None:
    names = [words_of(product.name), words_of(product.name_ru)]
    kind = [word for category in product.category_path for word in words_of(f"{category.name} {category.name_ru}")]
    brand = words_of(product.brand)
    texts = words_of(" ".join((product.description, product.description_ru, *product.keywords)))
    name_stems = [stemmer.stems(words) for words in names]
    kind_stems = stemmer.stems(kind)
    for stems in name_stems:  # two values: a phrase doesn't reach from one name into the other
        document.add_text("name", " ".join(stems))
    document.add_text("kind", _distinct(kind_stems))
    document.add_text("everything", _distinct([*name_stems[0], *name_stems[1], *kind_stems, *stemmer.stems(brand + texts)]))
    document.add_text("word", _distinct([*names[0], *names[1], *brand]))
    document.add_text("kind_word", _distinct(kind))


def _distinct(words: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(words))
