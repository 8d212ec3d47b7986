"""Times searches over the demonstration catalogue: python bench/search.py [--count 20000] [--count 92000] [--index elasticsearch://…] [--load] [--json].

Prints p50 and p95 of searches with all facets, each query asked once (so nothing is remembered) and then again, and what the index costs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

from torg.contexts.catalog.adapters.index_opening import open_index
from torg.contexts.catalog.ports import CategoryName, ProductChange, ProductDocument, ProductIndex, SearchRequest, Sort
from torg.demo.catalogue import DemoProduct, products

MOST_SOLD = 20_815  # the products of the demonstration that have a price of their own
SORTS: tuple[Sort, ...] = ("relevance", "price", "-price", "-rating", "-created_at", "-popularity")


def demonstration(count: int) -> Iterator[ProductDocument]:
    """The shop's own catalogue: what was sold in its year, or more than that."""
    if count > MOST_SOLD:
        yield from itertools.islice(map(_shown, products(all_products=True)), count)
    else:
        yield from itertools.islice(map(_shown, products()), count)


def _shown(product: DemoProduct) -> ProductDocument:
    random = Random(product.id)  # noqa: S311 data, not secrets
    path = zip(product.category_path, product.category_names, product.category_names_ru, strict=True)
    return ProductDocument(
        id=product.id,
        name=product.name,
        name_ru=product.name_ru,
        category_path=tuple(CategoryName(*names) for names in path),
        brand=product.brand,
        price=product.price_cents,
        old_price=product.old_price_cents,
        quantity=random.choice((0, 3, 20, 100)),
        rating_average=random.choice((0.0, 3.5, 4.25, 4.8)),
        rating_count=random.randrange(200),
        picture=product.picture,
        popularity=product.popularity,
        created_at=product.created_at,
        description=product.description,
        description_ru=product.description_ru,
    )


def mixes(known: Sequence[ProductDocument], random: Random) -> dict[str, list[SearchRequest]]:
    """A hundred different searches of each sort."""

    def one() -> ProductDocument:
        return known[random.randrange(len(known))]

    def words(most: int, russian: bool = False) -> str:
        name = (one().name_ru if russian else "") or one().name
        return " ".join(name.split()[:most])

    def mistyped() -> str:
        word = max(one().name.split(), key=len)
        at = random.randrange(1, max(2, len(word) - 1))
        return word[:at] + word[at + 1 :]

    def filters() -> dict[str, object]:
        product = one()
        chosen: dict[str, object] = {
            "category": random.choice(product.category_path).id if product.category_path else None,
            "brand": product.brand or None,
        }
        bounds: dict[str, object] = {"price_min": product.price // 2, "price_max": product.price * 2, "rating_min": 3.0, "in_stock": True}
        return dict(random.sample(list((chosen | bounds).items()), 2)) | {"sort": random.choice(SORTS)}

    def hundred(make: type[SearchRequest] | object) -> list[SearchRequest]:
        return [make() for _ in range(100)]  # type: ignore[operator]

    ask = SearchRequest
    return {
        "one word": hundred(lambda: ask(text=words(1))),
        "two words": hundred(lambda: ask(text=words(2))),
        "two words, Russian": hundred(lambda: ask(text=words(2, russian=True))),
        "two words, two filters, sorted": hundred(lambda: ask(text=words(2), **filters())),  # type: ignore[arg-type]
        "mistyped word": hundred(lambda: ask(text=mistyped())),
        "category": hundred(lambda: ask(category=random.choice(one().category_path or (CategoryName("none", ""),)).id, sort=random.choice(SORTS))),
        "two filters, sorted": hundred(lambda: ask(**filters())),  # type: ignore[arg-type]
        "four filters": hundred(lambda: ask(price_min=random.randrange(300), rating_min=3.0, category=_department(one()), brand=one().brand)),
        "everything from a price": hundred(lambda: ask(price_min=random.randrange(100), sort=random.choice(SORTS))),
    }


def _department(product: ProductDocument) -> str | None:
    return product.category_path[0].id if product.category_path else None


async def timed(index: ProductIndex, requests: Iterable[SearchRequest]) -> list[float]:
    spent = []
    for request in requests:
        start = time.perf_counter()
        await index.search(request)
        spent.append((time.perf_counter() - start) * 1000)
    return sorted(spent)


def figures(spent: Sequence[float]) -> str:
    return f"p50 {spent[len(spent) // 2]:6.2f}  p95 {spent[len(spent) * 95 // 100]:6.2f}  max {spent[-1]:6.2f} ms"


async def bench(count: int, load: bool, url: str) -> None:
    gc.collect()
    before = _resident()
    with tempfile.TemporaryDirectory() as folder:
        index = open_index(url, Path(folder), "bench")
        documents = list(demonstration(count))
        start, cpu = time.perf_counter(), time.process_time()
        await index.rebuild(documents, position=1)
        built, cpu = time.perf_counter() - start, time.process_time() - cpu
        gc.collect()
        after, size = _resident(), _size(Path(folder))
        asked_for = list(itertools.islice(demonstration(count), 0, None, max(1, count // 5000)))
        print(f"\n{len(documents)} products: built in {built:.1f} s ({cpu:.1f} s of CPU), {size / 1e6:.1f} MB on disk, memory {before:.0f} → {after:.0f} MB")
        await _report(index, asked_for, Random(5))  # noqa: S311 data, not secrets
        if load:
            await _under_load(index, asked_for)
        await index.close()


async def _report(index: ProductIndex, products: Sequence[ProductDocument], random: Random) -> None:
    every: list[float] = []
    cpu = time.process_time()
    for name, requests in mixes(products, random).items():
        spent = await timed(index, dict.fromkeys(requests))
        every += spent
        print(f"  {name:32} {figures(spent)}   again {figures(await timed(index, requests))}")
    cpu = (time.process_time() - cpu) / len(every) / 2 * 1000
    print(f"  {'all of these':32} {figures(sorted(every))}   {cpu:.2f} ms of CPU here for each")
    await _suggestions(index, products)


async def _suggestions(index: ProductIndex, products: Sequence[ProductDocument]) -> None:
    spent = []
    for product in products[:300]:
        start = time.perf_counter()
        await index.suggest(product.name[: 1 + len(product.id) % 6])
        spent.append((time.perf_counter() - start) * 1000)
    print(f"  {'suggestions':32} {figures(sorted(spent))}")


async def _under_load(index: ProductIndex, products: Sequence[ProductDocument]) -> None:
    """Searches while a thousand products a second change their stock, one in ten of them so that searches can tell."""
    running = asyncio.create_task(index.run())
    spent: list[float] = []
    random = Random(3)  # noqa: S311 data, not secrets
    requests = [SearchRequest(text=product.name.split()[0], sort=random.choice(SORTS)) for product in products]
    start, cpu = time.perf_counter(), time.process_time()
    for request in requests[:300]:
        sold = random.sample(products, 20)
        await index.change([ProductChange(id=one.id, quantity=0 if at < 2 else random.randrange(1, 99)) for at, one in enumerate(sold)])
        spent += await timed(index, [request])
        await asyncio.sleep(0.02)
    share = (time.process_time() - cpu) / (time.perf_counter() - start)
    print(f"  {'while 1,000 products/s change':32} {figures(sorted(spent))}   {share:.0%} of a core")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


async def all_searches(count: int) -> dict[str, float]:
    """p50 and p95 of all of them together, in milliseconds, each asked once."""
    with tempfile.TemporaryDirectory() as folder:
        index = open_index("", Path(folder), "bench")
        await index.rebuild(demonstration(count), position=1)
        known = list(itertools.islice(demonstration(count), 0, None, max(1, count // 5000)))
        spent = await timed(index, dict.fromkeys(one for kind in mixes(known, Random(5)).values() for one in kind))  # noqa: S311 data, not secrets
        await index.close()
    return {"count": count, "p50": spent[len(spent) // 2], "p95": spent[len(spent) * 95 // 100]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, action="append", help="how many products (may be given again)")
    parser.add_argument("--index", default="", help="elasticsearch://host:port instead of tantivy")
    parser.add_argument("--load", action="store_true", help="also search while stock changes")
    parser.add_argument("--json", action="store_true", help="only p50 and p95 of all searches, for programs")
    options = parser.parse_args()
    counts = options.count or [20_000, 92_000]
    if options.json:
        print(json.dumps([asyncio.run(all_searches(count)) for count in counts]))
        return
    for count in counts:
        asyncio.run(bench(count, options.load, options.index))


if __name__ == "__main__":
    main()
