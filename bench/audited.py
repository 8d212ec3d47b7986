"""What a look of the auditor costs in a shop with many orders: python -m bench.audited [ORDERS …]

One order goes all the way in the small shop; its rows, in all stores and logs, are then copied as often as asked, each time with identifiers of its own (its
buyer's included). Work is counted in instructions of SQLite's virtual machine, which is what rows cost that are read or passed over, and nothing else disturbs;
seconds stand beside. The shop's own look at its start has gone before: these are what it pays again and again."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from tests.shop import Shop, open_shop
from tests.shop.people import deliver
from tests.shop.waiting import until

from torg.contexts.admin.contracts import GetInvariants
from torg.contexts.order.contracts import CountOrders

ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
COUNTED: Final = 1000  # instructions between two counts
AT_ONCE: Final = 500  # copies in one statement
LOOKS: Final = 5  # of each kind
STOCK: Final = 1_000_000
OWN_KEYS: Final = {"log": "position", "entry": "id", "movement": "id"}  # numbers that a table gives by itself
DERIVED: Final = ("consumer_position", "rollup_day", "rollup_month", "account", "sales_day", "read_until", "bought_together", "answer", "consumed")


async def main(sizes: list[int]) -> None:
    print("| orders | look | instructions of SQLite, millions | seconds busy | does not hold |")
    print("|---:|---|---:|---:|---|")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            before, after = await _one_order(Path(folder))
            _copy(Path(folder), after - before, size)
            await _look(Path(folder), size)


async def _one_order(folder: Path) -> tuple[set[str], set[str]]:
    """The identifiers there are before it and after it."""
    async with open_shop(folder) as shop:
        product, clerk = shop.product(), await shop.staff("warehouse")
        for place in (await clerk.get(f"/inventory/{product}")).json["by_warehouse"]:
            more = {"warehouse_id": place["warehouse_id"], "quantity": STOCK, "reason": "correction"}
            assert (await clerk.once(f"/inventory/{product}/movements", more)).status == 201
        courier = await shop.staff("courier")
        await shop.settle()
        before = _ids(folder)
        buyer = await shop.buyer()
        await deliver(courier, buyer, await buyer.bought(product))
        await shop.settle()
        await until(lambda: _letters_left(shop), "letters left")
        return before, _ids(folder)


async def _letters_left(shop: Shop) -> bool:
    return not await (await shop.store("notification")).database.value("select count(*) from mail where status = 'queued'")


def _stores(folder: Path) -> Iterator[sqlite3.Connection]:
    for file in sorted([*folder.glob("*/*.db"), *folder.glob("*/*.sqlite"), *folder.glob("*/*.sqlite3")]):
        connection = sqlite3.connect(file)
        connection.row_factory = sqlite3.Row
        yield connection
        connection.commit()
        connection.close()


def _tables(store: sqlite3.Connection) -> list[str]:
    return [row["name"] for row in store.execute("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")]


def _ids(folder: Path) -> set[str]:
    found: set[str] = set()
    for store in _stores(folder):
        for table in _tables(store):
            for row in store.execute(f"select * from {table}"):
                found.update(ID.findall(" ".join(str(value) for value in row)))
    return found


def _copy(folder: Path, own: set[str], size: int) -> None:
    for store in _stores(folder):
        store.execute("pragma synchronous = off")
        store.execute("pragma ignore_check_constraints = on")
        for table in _tables(store):
            rows = [dict(row) for row in store.execute(f"select * from {table}")] if table not in DERIVED else []
            for row in rows:
                row.pop(OWN_KEYS.get(table, ""), None)
            _fill(store, table, [row for row in rows if own & set(ID.findall(" ".join(map(str, row.values()))))], own, size)
        if {"rollup_day", "sale"} <= set(_tables(store)):
            store.execute("update rollup_day set orders = (select count(*) from sale), revenue = (select sum(revenue) from sale) where dimension = 'day'")
        if "consumer_position" in _tables(store):
            store.execute("update consumer_position set position = 1000000000")  # nobody is to be told of the copies
        if "stock" in _tables(store):
            _take_from_stock(store, size)


def _fill(store: sqlite3.Connection, table: str, rows: list[dict[str, Any]], own: set[str], size: int) -> None:
    """Copy by copy, so that logs have the orders one after the other."""
    if not rows:
        return
    names = list(rows[0])
    statement = f"insert or ignore into {table} ({', '.join(names)}) values ({', '.join('?' for _ in names)})"
    templates = [[_template(row[name], own) for name in names] for row in rows]
    copies = ([value(number) if callable(value) else value for value in row] for number in range(size) for row in templates)
    while some := list(islice(copies, AT_ONCE)):
        store.executemany(statement, some)


def _template(value: Any, own: set[str]) -> Any:
    """What makes the value of a copy by its number, where copies differ: identifiers were made at the same time, and their last figures count."""
    if not isinstance(value, str):
        return value
    parts = re.split(f"({ID.pattern})", value)
    numbered = value.endswith("@buyers.torg.example") or re.fullmatch(r"[0-9a-f]{64}|[\w-]{43}", value)
    if not numbered and not own & set(parts):
        return value
    makers = [(part[:24], int(part[24:], 16)) if part in own else (part, None) for part in parts]

    def made(number: int) -> str:
        text = "".join(text if last is None else f"{text}{(last + (number + 1) * 0x1000) % 16**12:012x}" for text, last in makers)
        return f"{number}.{text}" if numbered else text

    return made


def _take_from_stock(store: sqlite3.Connection, size: int) -> None:
    """What the copies have taken."""
    shipped = "select product_id, warehouse_id, -sum(quantity) as taken from movement where kind = 'shipped' group by product_id, warehouse_id"
    for row in store.execute(shipped).fetchall():
        taken = row["taken"] * size // (size + 1)
        store.execute("update stock set on_hand = on_hand - ? where product_id = ? and warehouse_id = ?", (taken, row["product_id"], row["warehouse_id"]))
    store.execute("update for_sale set available = (select sum(on_hand - reserved) from stock where stock.product_id = for_sale.product_id)")


async def _look(folder: Path, size: int) -> None:
    async with open_shop(folder, filled=True) as shop:
        assert sum(row.count for row in (await shop.call(CountOrders(since=datetime(2000, 1, 1, tzinfo=UTC)))).items) == size + 1
        work = Counter[str]()
        for name, store in shop.app.stores.items():
            store.database._writer.set_progress_handler(_counter(work, name), COUNTED)  # type: ignore[attr-defined]
            store.database.connection.set_progress_handler(_counter(work, name), COUNTED)  # type: ignore[attr-defined]
        for kind, looks in (("the first", 1), ("while it catches up with the copies", size // 500), ("from then on", LOOKS)):
            costs, spent, broken = list[float](), list[float](), set[str]()
            for _ in range(looks):
                work.clear()
                shop.clock.advance(seconds=20)
                began = time.process_time()
                reports = (await shop.call(GetInvariants())).items
                spent.append(time.process_time() - began)
                costs.append(work.total() * COUNTED / 1e6)
                broken |= {report.name for report in reports if not report.holds}
            if looks:
                told = ", ".join(sorted(broken)) or "nothing"
                print(f"| {size:,} | {kind} | {fmean(costs):.2f} (at most {max(costs):.2f}) | {fmean(spent):.2f} | {told} |", flush=True)


def _counter(work: Counter[str], name: str) -> Callable[[], int]:
    def count() -> int:
        work[name] += 1
        return 0

    return count


if __name__ == "__main__":
    asyncio.run(main([int(size) for size in sys.argv[1:]] or [0, 10_000, 100_000]))
