"""The fields of the index, how Elasticsearch analyses them, and how a product becomes one document of it.

What words are and which forms of them are the same is decided as in index_common/words.py, by Elasticsearch's own analysers. The product itself is kept in
`product` and nothing else of the source is: everything beside it only serves to find, filter, count and sort.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from torg.contexts.catalog.adapters.index_common.categories import nodes_of
from torg.contexts.catalog.adapters.index_common.facet_values import rating_units
from torg.contexts.catalog.adapters.index_common.words import words_of
from torg.contexts.catalog.ports import ProductDocument

VERSION = 1  # raise it when fields or analysis change: then an index of that version is built beside the old one, which old processes go on using

_WORD = "{0}+(?:['’ʼ]{0}+)*"
_LETTERS, _FIGURES = r"[\p{L}\p{Nl}\p{No}]", r"\p{Nd}"
ANALYSIS: dict[str, Any] = {
    "tokenizer": {"words": {"type": "pattern", "pattern": f"{_WORD.format(_FIGURES)}|{_WORD.format(_LETTERS)}", "group": 0}},
    "filter": {
        "apostrophes": {"type": "pattern_replace", "pattern": "['’ʼ]", "replacement": ""},
        "yo": {"type": "pattern_replace", "pattern": "ё", "replacement": "е"},
        "english": {"type": "stemmer", "language": "porter2"},
        "russian": {"type": "stemmer", "language": "russian"},
        "fleeting": {"type": "pattern_replace", "pattern": "(?<=[бвгджзйклмнпрстфхцчшщ])[ое](?=к$)|(?<=[бвгджзклмнпрстфхчшщ])е(?=ц$)", "replacement": ""},
        "soft": {"type": "pattern_replace", "pattern": "(?<=[аеоуыэюя])и(?=ц$)", "replacement": "й"},
    },
    "analyzer": {
        "stems": {
            "type": "custom", "tokenizer": "words",
            "filter": ["lowercase", "apostrophes", "yo", "asciifolding", "english", "russian", "fleeting", "soft"],
        }
    },
}  # fmt: skip

_KEYWORD: dict[str, Any] = {"type": "keyword"}
_NUMBER: dict[str, Any] = {"type": "long"}
_ONLY_SORTED: dict[str, Any] = {"type": "long", "index": False}
_STEMS: dict[str, Any] = {"type": "text", "analyzer": "stems", "norms": False, "index_options": "docs"}
MAPPINGS: dict[str, Any] = {
    "dynamic": "strict",
    "_source": {"includes": ["product"]},
    "properties": {
        "product": {"type": "object", "enabled": False},
        "id": _KEYWORD,
        "names": _STEMS | {"index_options": "positions", "copy_to": "everything"},
        "kind": _STEMS | {"copy_to": "everything"},
        "texts": {"type": "text", "index": False, "norms": False, "copy_to": "everything"},
        "everything": _STEMS,
        "word": _KEYWORD,  # whole words of names and brand
        "kind_word": _KEYWORD,  # whole words of the categories' names
        "category": _KEYWORD,  # every id of the path
        "node": {"type": "keyword", "index": False},  # every category of the path, with its names and the one that it lies in
        "brand": _KEYWORD,
        "in_stock": {"type": "boolean"},
        "price": _NUMBER,
        "rating": _NUMBER,
        "rating_count": _ONLY_SORTED,
        "created_at": _ONLY_SORTED,
        "popularity": _ONLY_SORTED,
    },
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "number_of_shards": 1,  # facets of one shard are counted exactly
    "auto_expand_replicas": "0-1",
    "refresh_interval": "-1",  # whoever writes says when
    "gc_deletes": "1h",  # so long a late update can't bring back what was removed
    "analysis": ANALYSIS,
}
STATE_MAPPINGS: dict[str, Any] = {"dynamic": False}
STATE_SETTINGS: dict[str, Any] = {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True}

_encoder = msgspec.json.Encoder()


def document_of(product: ProductDocument) -> bytes:
    names = [product.name, product.name_ru]
    kind = [text for category in product.category_path for text in (category.name, category.name_ru) if text]
    document = {
        "product": product,
        "id": product.id,
        "names": [name for name in names if name],
        "kind": kind,
        "texts": [text for text in (product.brand, product.description, product.description_ru, *product.keywords) if text],
        "word": _distinct(words_of(" ".join((*names, product.brand)))),
        "kind_word": _distinct(words_of(" ".join(kind))),
        "category": [category.id for category in product.category_path],
        "node": [_encoder.encode(node).decode() for node in nodes_of(product.category_path)],
        "in_stock": product.in_stock,
        "rating": rating_units(product.rating_average),
        "rating_count": product.rating_count,
        "price": product.price,
        "popularity": product.popularity,
        "created_at": int(product.created_at.timestamp() * 1000),
    }
    if product.brand:
        document["brand"] = product.brand
    return _encoder.encode(document)


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))
