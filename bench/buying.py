"""Carts and orders: what they cost, how many there can be, how long a buyer waits."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from bench.buyers import Buyer, Sales, buyers, empty_carts, fill_carts, goods, order
from bench.house import House, quiet
from bench.processes import Shop
from bench.wire import Connection, own_load, request

CROWD = 64
CARTS, ORDERS, SINGLE = "Add to cart", f"Orders: {CROWD} buyers, one line each, paid from the wallet", "Orders: a single buyer"
_METRIC = re.compile(r"^(\w+)(?:\{.*\})? ([0-9.e+-]+)$", re.MULTILINE)


async def measure_carts(house: House) -> None:
    with house.shop("carts") as shop:
        crowd, products = await buyers(shop.port, CROWD), await goods(shop.port, 400)
        await fill_carts(crowd, products, 2)
        quiet(shop)
        millis, rates, rounds = list[float](), list[float](), house.of(20, 2)
        for _ in range(house.repeats):
            cpu, began, own = shop.cpu(), time.perf_counter(), time.process_time()
            await fill_carts(crowd, products, rounds)
            house.book.mind_load("add to cart", own_load(began, own))
            rates.append(CROWD * rounds / (time.perf_counter() - began))
            millis.append((shop.cpu() - cpu) * 1000 / (CROWD * rounds))
        house.book.add(CARTS, "PUT /cart/items/…, a cart of up to five lines", "CPU-ms each", millis, "≤ 0.7")
        house.book.add(CARTS, f"{CROWD} buyers at once", "requests/s", rates)


async def measure_orders(house: House) -> None:
    bound = house.run("bench.machine", str(house.folder), str(house.of(2, 1) / 2))
    for name, unit in (("syncs", "small appends made durable, one by one"), ("alone", "durable transactions, one by one")):
        house.book.add("The disk", unit, "per second", [bound[name]])
    house.book.add("The disk", "durable transactions, 64 waiting: the group-commit bound", "per second", [bound["grouped"]])
    with house.shop("orders") as shop:
        crowd, products = await buyers(shop.port, CROWD), await goods(shop.port, 400)
        await empty_carts(crowd)
        await order(crowd, products, house.of(640, 64))  # so that nothing is measured for the first time
        quiet(shop)
        await _crowd(house, shop, crowd, products, bound["grouped"])
        quiet(shop)
        await _single(house, crowd[0], products)
        quiet(shop)
        house.book.add("Memory", "after the orders", "MB resident", [shop.memory()])
    await _statements(house)


async def _crowd(house: House, shop: Shop, crowd: Sequence[Buyer], products: Sequence[str], bound: float) -> None:
    runs = list[tuple[Sales, float, dict[str, float]]]()
    count = house.of(2000, 64)
    for _ in range(house.repeats):
        before, cpu = await figures(shop.port), shop.cpu()
        sales = await order(crowd, products, count)
        quiet(shop)
        spent, after = shop.cpu() - cpu, await figures(shop.port)
        _mind(house, sales, count)
        runs.append((sales, spent * 1000 / count, {name: (after[name] - before.get(name, 0)) / count for name in after}))
    add, sold = house.book.add, [sales for sales, _, _ in runs]
    per_order = [each.get("torg_sql_transactions_total", 0) for _, _, each in runs]
    rates = [count / sales.seconds for sales in sold]
    add(ORDERS, "from click to confirmed", "orders/s", rates)
    add(ORDERS, "whole flow, until the last notice is written", "CPU-ms each", [millis for _, millis, _ in runs], "≤ 2.5")
    add(ORDERS, "transactions", "per order", per_order)
    add(ORDERS, "commits", "per order", [each.get("torg_sql_commit_seconds_count", 0) for _, _, each in runs])
    add(ORDERS, "messages handled by consumers", "per order", [each.get("torg_messages_total", 0) for _, _, each in runs])
    add(ORDERS, "orders/s of the group-commit bound's transactions/s", "share", [rate / bound for rate in rates])
    add(ORDERS, "transactions/s of the group-commit bound", "share", [rate * each / bound for rate, each in zip(rates, per_order, strict=True)])
    add(ORDERS, "questions until confirmed", "per order", [sales.asked / count for sales in sold])
    _waits(house, ORDERS, sold)


async def _single(house: House, buyer: Buyer, products: Sequence[str]) -> None:
    sold, count = list[Sales](), house.of(100, 5)
    for _ in range(house.repeats):
        sold.append(await order([buyer], products, count))
    house.book.add(SINGLE, "one after the other", "orders/s", [count / sales.seconds for sales in sold])
    _waits(house, SINGLE, sold)


def _waits(house: House, section: str, sold: Sequence[Sales]) -> None:
    for share in (50, 95):
        house.book.add(section, f"POST /orders answered, p{share}", "ms", [percentile(sales.answered, share) for sales in sold])
    for share in (50, 95):
        house.book.add(section, f"click to confirmed, p{share}", "ms", [percentile(sales.confirmed, share) for sales in sold])


def _mind(house: House, sales: Sales, count: int) -> None:
    house.book.mind_load("orders", sales.load)
    if sales.outcomes["confirmed"] != count:
        house.book.remark(f"of {count} orders {sales.outcomes['confirmed']} were confirmed: {dict(sales.outcomes)}")


async def _statements(house: House) -> None:
    """A run of its own: counting costs more than a statement."""
    with house.shop("counted", counted=True) as shop:
        crowd, products, count = await buyers(shop.port, 16), await goods(shop.port, 100), house.of(400, 32)
        quiet(shop)
        before = await figures(shop.port)
        await order(crowd, products, count)
        quiet(shop)
        after = await figures(shop.port)
    spent = after["bench_sql_statements_total"] - before["bench_sql_statements_total"]
    house.book.add(ORDERS, "SQL statements, savepoints and begins included (a counted run of its own)", "per order", [spent / count])


async def figures(port: int) -> dict[str, float]:
    """The shop's counters, summed over their labels."""
    connection, sums = await Connection.open(port), dict[str, float]()
    answer = await connection.send(request("GET", "/metrics"))
    connection.close()
    for name, value in _METRIC.findall(answer.body.decode()):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums


def percentile(values: Sequence[float], share: int) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, -(-len(ordered) * share // 100) - 1)]
