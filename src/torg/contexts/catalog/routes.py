"""The catalogue over HTTP."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.handlers.staff import MOST_ROW_ERRORS, import_products
from torg.contexts.catalog.ports import CatalogDeps, ImportRow
from torg.kit.access import PUBLIC
from torg.kit.errors import NotFound, TooLarge
from torg.kit.http import Request, Response, Route, delete, get, patch, post, put
from torg.kit.http.request import JSON
from torg.kit.messages import encode

PRODUCT_KEPT, LIST_KEPT, TREE_KEPT, PICTURE_KEPT = 30.0, 2.0, 60.0, 3600.0  # seconds; all but lists are also forgotten as soon as they change
PICTURE = ((b"content-type", b"image/svg+xml"), (b"cache-control", b"public, max-age=604800"))

LARGEST_IMPORT = 64 << 20  # bytes
IMPORTED_AT_ONCE = 500  # products in one commit
COUNTED = ("rows", "added", "changed", "unchanged", "rejected")

_TAG = re.compile(r'(?:W/)?"(\d+)-[^"]*"')


def routes(deps: CatalogDeps) -> Sequence[Route]:
    async def import_(request: Request) -> Response:
        return Response(200, encode(await _import(request, deps)), [JSON])

    async def picture(request: Request) -> Response:
        return Response(200, (await _drawn(request.path_values["file"], deps)).encode(), [*PICTURE])

    return (
        get("/categories", c.ListCategories, right="catalog:read", cached=TREE_KEPT, tags=_tags("categories"), etag=True, summary="The tree of categories"),
        get("/products", c.ListProducts, right="catalog:read", cached=LIST_KEPT, tags=_tags("products"), etag=True, summary="Find products"),
        get("/products/suggest", c.Suggest, right="catalog:read", cached=LIST_KEPT, tags=_tags("products"), summary="Suggestions for what is being typed"),
        get(
            "/products/{product_id}", c.GetProduct, right="catalog:read", cached=PRODUCT_KEPT, tags=_of_product, etag=True, reply_headers=_etag,
            summary="One product; its ETag goes into If-Match of an edit",
        ),
        get(
            "/products/{product_id}/recommendations", c.Recommend, right="catalog:read", cached=PRODUCT_KEPT, tags=_of_product, etag=True,
            summary="What others bought with it, and what is like it",
        ),
        post(
            "/products", c.AddProduct, right="catalog:write", status=201, idempotency="accepted", reply_headers=_etag,
            location=lambda product: f"/api/v1/products/{product.id}", summary="Add a product",
        ),
        patch(
            "/products/{product_id}", c.ChangeProduct, about=c.GetProduct, right="catalog:write", fill={"if_versions": _if_versions},
            reply_headers=_etag, refuses=(412,),
            summary="Change what is given; refused when If-Match names an old version",
        ),
        delete(
            "/products/{product_id}", c.WithdrawProduct, about=c.GetProduct, right="catalog:write", fill={"if_versions": _if_versions}, refuses=(412,),
            summary="Take a product off sale",
        ),
        post(
            "/products/import", endpoint=import_, right="catalog:write", answer=c.ImportReport, body_limit=LARGEST_IMPORT,
            body_media=("application/x-ndjson", "text/csv"), refuses=(413, 415),
            summary="Add or update products from application/x-ndjson or text/csv, up to 64 MiB",
        ),
        Route(
            method="GET", path="/pictures/{file}", endpoint=picture, right=PUBLIC, media="image/svg+xml", etag=True, cached=PICTURE_KEPT, tags=_of_picture,
            summary="A product's drawn picture: its id and .svg",
        ),
        get("/catalog/synonyms", c.GetSynonyms, right="synonyms:read", summary="Words that mean the same to the search"),
        put("/catalog/synonyms", c.SetSynonyms, about=c.GetSynonyms, right="catalog:write", summary="Replace the synonyms"),
        post("/catalog/index/rebuild", c.RebuildIndex, right="catalog:write", summary="Build the search index anew, while it serves"),
    )  # fmt: skip


def _tags(*names: str) -> Callable[[Mapping[str, str]], tuple[str, ...]]:
    return lambda _: names


def _of_product(values: Mapping[str, str]) -> tuple[str, ...]:
    return f"product:{values['product_id']}", "catalog"


def _of_picture(values: Mapping[str, str]) -> tuple[str, ...]:
    return (f"picture:{values['file'].removesuffix('.svg')}",)


def _etag(product: c.ProductView) -> list[tuple[str, str]]:
    """The version for If-Match, then a checksum of all that is shown: stock and rating change without an edit."""
    return [("etag", f'"{product.version}-{zlib.crc32(encode(product)):08x}"')]


def _if_versions(request: Request) -> tuple[int, ...] | None:
    """The versions that If-Match names; None when any will do."""
    given = request.header("if-match").strip()
    if given in ("", "*"):
        return None
    return tuple(int(version) for version in _TAG.findall(given))


async def _drawn(file: str, deps: CatalogDeps) -> str:
    """Also of a withdrawn product: old orders show it."""
    product_id, dot, ending = file.rpartition(".")
    found = await deps.products.find(product_id) if dot and ending == "svg" else None
    if found is None:
        raise NotFound("picture.not_found", f"there is no picture {file!r}")
    product = found.product
    return deps.draw(product.id, product.drawing, product.brand, product.drawing_label)


class _Import:
    """What has been taken so far, and the rows that wait for the next commit."""

    def __init__(self, deps: CatalogDeps) -> None:
        self._deps = deps
        self._waiting: list[tuple[int, c.NewProduct]] = []
        self._counts = Counter[str]()
        self._errors: list[c.RowError] = []

    async def take(self, rows: Iterable[ImportRow]) -> None:
        for row in rows:
            if row.product is None:
                self._counts.update(rows=1, rejected=1)
                self._note(row.errors)
            else:
                self._waiting.append((row.line, row.product))
            if len(self._waiting) >= IMPORTED_AT_ONCE:
                await self._commit()

    async def report(self) -> c.ImportReport:
        await self._commit()
        counts = {name: self._counts[name] for name in COUNTED}
        return c.ImportReport(**counts, errors=tuple(sorted(self._errors, key=lambda error: error.line)))

    async def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            lines, products = zip(*waiting, strict=True)
            done = await import_products(c.ImportProducts(products=products, lines=lines), self._deps)
            self._counts.update({name: getattr(done, name) for name in COUNTED})
            self._note(done.errors)

    def _note(self, errors: Iterable[c.RowError]) -> None:
        self._errors += islice(errors, MOST_ROW_ERRORS - len(self._errors))


async def _import(request: Request, deps: CatalogDeps) -> c.ImportReport:
    """Commits as it reads: what was taken before the connection broke stays, and the same stream again goes on from there."""
    if int(request.header("content-length") or 0) > LARGEST_IMPORT:
        raise TooLarge("body.too_large", f"an import may have {LARGEST_IMPORT} bytes at most: send it in parts")
    rows, done = deps.rows_of(request.header("content-type"), deps.currency), _Import(deps)
    async for chunk in request.chunks(LARGEST_IMPORT):
        await done.take(rows.feed(chunk))
    await done.take(rows.end())
    return await done.report()
