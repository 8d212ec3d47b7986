"""How long a start takes, and how much memory a shop holds."""

from __future__ import annotations

from pathlib import Path

from bench.figures import Book
from bench.house import House, quiet
from bench.processes import Shop, size

STARTS, MEMORY = "Starting", "Memory"


def seed(folder: Path, core: int | None, book: Book, demo_products: str) -> float:
    """The first start: fills the folder. The folder's megabytes."""
    with Shop(folder, core, demo_products=demo_products) as shop:
        book.add(STARTS, "first start, with seeding, until it is ready", "s", [shop.ready])
        quiet(shop)
        book.add(MEMORY, "after the first start, which has seeded", "MB resident", [shop.memory()])
    return size(folder)


async def measure(house: House) -> None:
    """Later starts on what is there."""
    times, held = list[float](), list[float]()
    for _ in range(house.repeats):
        with house.shop("starts") as shop:
            times.append(shop.ready)
            quiet(shop)
            held.append(shop.memory())
    house.book.add(STARTS, "second start, until it is ready", "s", times)
    house.book.add(MEMORY, "after a second start", "MB resident", held, "≤ 300")
