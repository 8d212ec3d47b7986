"""Times searches over the demonstration catalogue (or synthetic products): python bench/search.py [--count 20000] [--count 92000] [--load].

Prints p50 and p95 of searches with all facets, each query asked once (so nothing is remembered) and then again, and what the index costs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import resource
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.ports import CategoryName, ProductChange, ProductDocument, SearchRequest, Sort

NOUNS = "pizza пицца|milk молоко|bread хлеб|cheese сыр|coffee кофе|tea чай|chips чипсы|soup суп|juice сок|butter масло|yoghurt йогурт"
ADJECTIVES = (
    "frozen замороженная|fresh свежий|organic органический|whole цельный|sweet сладкий|salted солёный|family семейный|classic классический"
)
SYLLABLES = ("ba", "ko", "ri", "lu", "ne", "ta", "mo", "vi", "se", "do", "fa", "gu")
RUSSIAN_SYLLABLES = ("ба", "ко", "ри", "лу", "не", "та", "мо", "ви", "се", "до", "фа", "гу")
SORTS: tuple[Sort, ...] = ("relevance", "price", "-price", "-rating", "-created_at", "-popularity")


def synthetic(count: int) -> Iterator[ProductDocument]:
    """Products in 30 departments with 10 categories of 8 types each, words and popularity spread as in life: few frequent, many rare."""
    random = Random(1)  # noqa: S311 data, not secrets
    nouns = [pair.split() for pair in NOUNS.split("|")] + _made_up(500)
    adjectives = [pair.split() for pair in ADJECTIVES.split("|")] + _made_up(300)
    for number in range(count):
        type_ = _often_small(random, 2400)
        (noun, noun_ru), (adjective, adjective_ru) = nouns[type_ % len(nouns)], adjectives[_often_small(random, len(adjectives))]
        rarely, rarely_ru = nouns[_often_small(random, len(nouns))]
        yield ProductDocument(
            id=str(number),
            name=f"{adjective} {noun} with {rarely} {number % 10} oz".capitalize(),
            name_ru=f"{adjective_ru} {noun_ru} {rarely_ru} {number % 10} г".capitalize(),
            category_path=_path(type_, nouns),
            brand=f"Brand {_often_small(random, 2000)}",
            price=int(random.lognormvariate(6, 1)),
            quantity=random.choice((0, 3, 20, 100)),
            rating_average=random.choice((0.0, 3.5, 4.25, 4.8)),
            rating_count=random.randrange(200),
            popularity=_often_small(random, 10**6),
            created_at=datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(600_000)),
            description=f"{noun} {adjective} for the whole family. " + " ".join(nouns[random.randrange(len(nouns))][0] for _ in range(25)),
        )


def _made_up(count: int) -> list[list[str]]:
    spoken = itertools.islice(itertools.product(range(len(SYLLABLES)), repeat=3), 100, 100 + count)
    return [["".join(SYLLABLES[at] for at in word) + "n", "".join(RUSSIAN_SYLLABLES[at] for at in word) + "н"] for word in spoken]


def _often_small(random: Random, below: int) -> int:
    return min(int(random.paretovariate(0.4)) - 1, below * 50) % below


def _path(type_: int, nouns: Sequence[Sequence[str]]) -> tuple[CategoryName, ...]:
    ids = (f"d{type_ % 30}", f"c{type_ % 300}", f"t{type_}")
    return tuple(CategoryName(id_, *(f"{word} {id_}" for word in nouns[int(id_[1:]) % len(nouns)])) for id_ in ids)


def _from_demo(product: object) -> ProductDocument:
    raise NotImplementedError(product)


def demonstration(count: int) -> Iterable[ProductDocument] | None:
    """The shop's own catalogue, once it can be imported."""
    try:
        from torg.demo.catalogue import products  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    return itertools.islice(map(_from_demo, products()), count)


def mixes(products: Sequence[ProductDocument], random: Random) -> dict[str, list[SearchRequest]]:
    """A hundred different searches of each sort."""

    def one() -> ProductDocument:
        return products[random.randrange(len(products))]

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
        "category": hundred(
            lambda: ask(category=random.choice(one().category_path or (CategoryName("none", ""),)).id, sort=random.choice(SORTS))
        ),
        "two filters, sorted": hundred(lambda: ask(**filters())),  # type: ignore[arg-type]
        "four filters": hundred(
            lambda: ask(price_min=random.randrange(300), rating_min=3.0, category=_department(one()), brand=one().brand)
        ),
        "everything from a price": hundred(lambda: ask(price_min=random.randrange(100), sort=random.choice(SORTS))),
    }


def _department(product: ProductDocument) -> str | None:
    return product.category_path[0].id if product.category_path else None


async def timed(index: TantivyProductIndex, requests: Iterable[SearchRequest]) -> list[float]:
    spent = []
    for request in requests:
        start = time.perf_counter()
        await index.search(request)
        spent.append((time.perf_counter() - start) * 1000)
    return sorted(spent)


def figures(spent: Sequence[float]) -> str:
    return f"p50 {spent[len(spent) // 2]:6.2f}  p95 {spent[len(spent) * 95 // 100]:6.2f}  max {spent[-1]:6.2f} ms"


async def bench(count: int, load: bool) -> None:
    source = demonstration(count)
    gc.collect()
    before = _resident()
    with tempfile.TemporaryDirectory() as folder:
        index = await TantivyProductIndex.open(Path(folder))
        start = time.perf_counter()
        await index.rebuild(source if source is not None else synthetic(count), position=1)
        built = time.perf_counter() - start
        gc.collect()
        after, size = _resident(), _size(Path(folder))
        products = list(itertools.islice(demonstration(count) or synthetic(count), 0, None, max(1, count // 5000)))
        kind = "synthetic" if source is None else "demonstration"
        print(f"\n{count} {kind} products: built in {built:.1f} s, {size / 1e6:.1f} MB on disk, memory {before:.0f} → {after:.0f} MB")
        await _report(index, products, Random(5))  # noqa: S311 data, not secrets
        if load:
            await _under_load(index, products)
        await index.close()


async def _report(index: TantivyProductIndex, products: Sequence[ProductDocument], random: Random) -> None:
    every: list[float] = []
    for name, requests in mixes(products, random).items():
        spent = await timed(index, dict.fromkeys(requests))
        every += spent
        print(f"  {name:32} {figures(spent)}   again {figures(await timed(index, requests))}")
    print(f"  {'all of these':32} {figures(sorted(every))}")
    await _suggestions(index, products)


async def _suggestions(index: TantivyProductIndex, products: Sequence[ProductDocument]) -> None:
    spent = []
    for product in products[:300]:
        start = time.perf_counter()
        await index.suggest(product.name[: 1 + len(product.id) % 6])
        spent.append((time.perf_counter() - start) * 1000)
    print(f"  {'suggestions':32} {figures(sorted(spent))}")


async def _under_load(index: TantivyProductIndex, products: Sequence[ProductDocument]) -> None:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, action="append", help="how many products (may be given again)")
    parser.add_argument("--load", action="store_true", help="also search while stock changes")
    options = parser.parse_args()
    for count in options.count or [20_000, 92_000]:
        asyncio.run(bench(count, options.load))


if __name__ == "__main__":
    main()
