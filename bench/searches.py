"""Searches: over HTTP on the demonstration catalogue, and in the engine alone at two sizes."""

from __future__ import annotations

import itertools
import time
from random import Random
from urllib.parse import urlencode

from bench.buying import percentile
from bench.house import House
from bench.search import demonstration, mixes
from bench.wire import API, Connection, request
from torg.contexts.catalog.ports import SearchRequest

SECTION = "Searching: nine kinds of searches with all facets, each asked once"


async def measure(house: House) -> None:
    for count in (20_000, 92_000) if not house.quick else (300,):
        found = house.run("bench.search", "--json", "--count", str(count))[0]
        for share in ("p50", "p95"):
            house.book.add(SECTION, f"the engine alone, {count:,} products, {share}", "ms", [found[share]])
    with house.shop("searches", response_cache="false") as shop:
        known = list(itertools.islice(demonstration(20_000), 0, house.of(20_000, 300), 4))
        connection, spent = await Connection.open(shop.port), list[float]()
        for asked in dict.fromkeys(one for kind in mixes(known, Random(11)).values() for one in kind[: house.of(100, 3)]):  # noqa: S311 data, not secrets
            began = time.perf_counter()
            answer = await connection.send(request("GET", _path(asked)))
            spent.append((time.perf_counter() - began) * 1000)
            assert answer.status == 200, f"{_path(asked)}: {answer.status} {answer.body[:200]!r}"
        connection.close()
    for rank in (50, 95):
        house.book.add(SECTION, f"GET /products?query=…, the shop's catalogue, p{rank}", "ms", [percentile(spent, rank)])


def _path(asked: SearchRequest) -> str:
    fields = {
        "query": asked.text, "category": asked.category, "brand": asked.brand, "price_min": asked.price_min, "price_max": asked.price_max,
        "rating_min": asked.rating_min, "in_stock": "true" if asked.in_stock else None, "sort": asked.sort,
    }  # fmt: skip
    return f"{API}/products?{urlencode({name: value for name, value in fields.items() if value not in (None, '')})}"
