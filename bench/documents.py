"""The demonstration's products in each place that documents can be kept: python -m bench.documents [products]

MongoDB's engine is started in a throw-away folder. CPU is this process's own, and the engine's beside it. Imports go through the handler, a thousand products
to a commit, as the seeding's do; reads are medians of five runs of several hundred."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.tests.house import House, open_house
from torg.demo.catalogue import categories, products
from torg.demo.seed import _flat, _new_product
from torg.engines import run
from torg.kit.portions import portions
from torg.kit.testing.engines import served

BATCH, PAGE, RUNS = 1000, 24, 5


class Watch:
    """What something took: seconds, and CPU seconds of this process and of the engine's."""

    def __init__(self, engine: int | None) -> None:
        self._engine = engine
        self.seconds = self.own = self.engines = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = (time.perf_counter(), time.process_time(), self._cpu())
        yield
        self.seconds, self.own, self.engines = (now - then for now, then in zip((time.perf_counter(), time.process_time(), self._cpu()), began, strict=True))

    def _cpu(self) -> float:
        if self._engine is None:
            return 0.0
        fields = Path(f"/proc/{self._engine}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(name: str, folder: Path, url: str, engine: int | None, most: int) -> None:
    print(f"--- {name}")
    listed = [_new_product(product, "USD") for product in islice(products(), most or None)]
    tree = tuple(category for node in categories() for category in _flat([node], ""))
    async with open_house(folder, tree, url) as house:
        jobs = [asyncio.create_task(job()) for job in house.documents.jobs.values()]
        watch = Watch(engine)
        with watch.running():
            for some in portions(listed, BATCH):
                await house(c.ImportProducts(products=tuple(some)))
        print(f"import: {len(listed)} products, {len(listed) / watch.seconds:,.0f}/s, {watch.own / len(listed) * 1e6:.0f} µs CPU each")
        with watch.running():
            await house.deps.products.count_by_category()  # waits until all have arrived
        print(f"the rest arrived after another {watch.seconds:.1f} s")
        with watch.running():
            for some in portions(listed, BATCH):
                await house(c.ImportProducts(products=tuple(some)))
        print(f"the same again, nothing new: {len(listed) / watch.seconds:,.0f}/s, {watch.own / len(listed) * 1e6:.0f} µs CPU each")
        await reads(house, engine, [product.id for product in listed])
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def reads(house: House, engine: int | None, ids: list[str]) -> None:
    store, chosen = house.deps.products, random.Random(7)  # noqa: S311 the same products each time

    async def walk() -> None:
        async for _ in store.on_sale():
            pass

    def page() -> list[str]:
        return chosen.sample(ids, PAGE)

    kept = page()
    await timed("read by id", 300, lambda: store.find(chosen.choice(ids)), engine)
    await timed(f"page of {PAGE} by id", 100, lambda: store.find_all(page()), engine)
    await timed(f"{PAGE} offers, remembered", 300, lambda: store.offers(kept), engine)
    await timed("counts by category", 3, store.count_by_category, engine)
    await timed("500 changes", 3, lambda: store.changes(len(ids) // 2, 500), engine)
    await timed("all of them", 1, walk, engine)


async def timed(name: str, times: int, ask: Callable[[], Awaitable[Any]], engine: int | None) -> None:
    watches = []
    for _ in range(RUNS):
        watch = Watch(engine)
        with watch.running():
            for _ in range(times):
                await ask()
        watches.append(watch)
    seconds, own, engines = (statistics.median(getattr(watch, part) for watch in watches) / times * 1e6 for part in ("seconds", "own", "engines"))
    print(f"{name}: {seconds:,.0f} µs, {own:,.0f} µs CPU here, {engines:,.0f} µs in the engine")


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as folder, served("mongo") as (place, settings):
        started = run.running(place) if place else None
        for name, url, engine in (("SQLite", "", None), ("MongoDB", settings["TORG_DOCUMENTS"], started.pid if started else None)):
            own = Path(folder) / name
            own.mkdir()
            asyncio.run(measure(name, own, url, engine, most))


if __name__ == "__main__":
    main()
