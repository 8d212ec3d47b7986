"""The catalogue over HTTP."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.ports import CatalogDeps
from torg.kit.auth import Role
from torg.kit.http import Request, Route, delete, get, patch, post, put
from torg.kit.messages import encode

STAFF_ONLY = frozenset({Role.ADMIN})
PRODUCT_KEPT, LIST_KEPT, TREE_KEPT = 30.0, 2.0, 60.0  # seconds; products and the tree are also forgotten as soon as they change

_TAG = re.compile(r'(?:W/)?"(\d+)-[^"]*"')


def routes(deps: CatalogDeps) -> Sequence[Route]:
    return (
        get("/categories", c.ListCategories, cached=TREE_KEPT, tags=_tags("categories"), etag=True, summary="The tree of categories"),
        get("/products", c.ListProducts, cached=LIST_KEPT, tags=_tags("products"), etag=True, summary="Find products"),
        get("/products/suggest", c.Suggest, cached=LIST_KEPT, tags=_tags("products"), summary="Complete what is being typed"),
        get(
            "/products/{product_id}", c.GetProduct, cached=PRODUCT_KEPT, tags=_of_product, etag=True, reply_headers=_etag,
            summary="One product; its ETag goes into If-Match of an edit",
        ),
        get(
            "/products/{product_id}/recommendations", c.Recommend, cached=PRODUCT_KEPT, tags=_of_product, etag=True,
            summary="What others bought with it, and what is like it",
        ),
        post(
            "/products", c.AddProduct, who=STAFF_ONLY, status=201, idempotency="accepted", reply_headers=_etag,
            location=lambda product: f"/api/v1/products/{product.id}", summary="Add a product",
        ),
        patch(
            "/products/{product_id}", c.ChangeProduct, who=STAFF_ONLY, fill={"if_versions": _if_versions}, reply_headers=_etag, refuses=(412,),
            summary="Change what is given; refused when If-Match names an old version",
        ),
        delete(
            "/products/{product_id}", c.WithdrawProduct, who=STAFF_ONLY, fill={"if_versions": _if_versions}, refuses=(412,),
            summary="Take a product off sale",
        ),
        get("/catalog/synonyms", c.GetSynonyms, who=STAFF_ONLY, summary="Words that mean the same to the search"),
        put("/catalog/synonyms", c.SetSynonyms, who=STAFF_ONLY, summary="Replace the synonyms"),
        post("/catalog/index/rebuild", c.RebuildIndex, who=STAFF_ONLY, summary="Build the search index anew, while it serves"),
    )  # fmt: skip


def _tags(*names: str) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    return lambda _: names


def _of_product(values: Mapping[str, str]) -> tuple[str, ...]:
    return f"product:{values['product_id']}", "catalog"


def _etag(product: c.ProductView) -> list[tuple[str, str]]:
    """The version for If-Match, then a checksum of all that is shown: stock and rating change without an edit."""
    return [("etag", f'"{product.version}-{zlib.crc32(encode(product)):08x}"')]


def _if_versions(request: Request) -> tuple[int, ...] | None:
    """The versions that If-Match names; None when any will do."""
    given = request.header("if-match").strip()
    if given in ("", "*"):
        return None
    return tuple(int(version) for version in _TAG.findall(given))
