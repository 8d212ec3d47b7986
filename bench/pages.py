"""Product pages and lists, in turns with the yardstick that sends the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from bench.bare import Page, page
from bench.house import House
from bench.processes import Bare, Shop
from bench.wire import API, Connection, hammer, request

SECTION = "Reading: one worker, one core"
LEAST = 0.01  # µs: a short burst may take less of the CPU than its clock can tell
AIMS = {("product, JSON", "kept answers"): "≥ 0.60", ("product, JSON", "made anew"): "≥ 0.30"}


@dataclass
class _Runs:
    """One server's bursts for one kind of page."""

    per_second: list[float] = field(default_factory=list)
    micros: list[float] = field(default_factory=list)


async def measure(house: House) -> None:
    with house.shop("kept") as kept, house.shop("anew", response_cache="false") as anew:
        kinds = await _paths(anew.port, house)
        file = house.folder / "pages.json"
        file.write_bytes(msgspec.json.encode(await _pages(anew.port, kinds)))
        with Bare(file, house.server_core) as bare:
            for kind, paths in kinds.items():
                await _compare(house, kind, paths, {"yardstick": bare, "kept answers": kept, "made anew": anew})


async def _compare(house: House, kind: str, paths: list[str], servers: dict[str, Shop | Bare]) -> None:
    requests = [request("GET", path) for path in paths]
    runs = {name: _Runs() for name in servers}
    for _ in range(house.repeats):
        for name, server in servers.items():
            await _burst(house, f"{kind}, {name}", server, requests, runs[name])
    yardstick = runs.pop("yardstick")
    house.book.add(SECTION, f"{kind}: yardstick", "requests/s", yardstick.per_second)
    house.book.add(SECTION, f"{kind}: yardstick", "CPU-µs each", yardstick.micros)
    for name, own in runs.items():
        shares = [rate / bare for rate, bare in zip(own.per_second, yardstick.per_second, strict=True)]
        house.book.add(SECTION, f"{kind}: {name}", "requests/s", own.per_second)
        house.book.add(SECTION, f"{kind}: {name}", "CPU-µs each", own.micros)
        house.book.add(SECTION, f"{kind}: {name}", "of the yardstick", shares, AIMS.get((kind, name), ""))
        by_cpu = [bare / max(spent, LEAST) for spent, bare in zip(own.micros, yardstick.micros, strict=True)]
        house.book.add(SECTION, f"{kind}: {name}", "of the yardstick, by CPU", by_cpu)


async def _burst(house: House, what: str, server: Shop | Bare, requests: list[bytes], runs: _Runs) -> None:
    before = server.cpu()
    burst = await hammer(server.port, requests, house.seconds)
    spent = server.cpu() - before
    assert not burst.failures, f"{what}: {burst.failures} of {burst.answers} answers were not 200"
    house.book.mind_load(what, burst.load)
    runs.per_second.append(burst.per_second)
    runs.micros.append(spent / max(burst.answers, 1) * 1e6 * burst.seconds / (burst.seconds + 0.15))


async def _paths(port: int, house: House) -> dict[str, list[str]]:
    """Fifty products, ten lists of 24, ten pages."""
    connection = await Connection.open(port)
    found = await connection.ask("GET", "/products?in_stock=true&sort=-popularity&limit=50")
    ids = [item["id"] for item in found["items"]]
    lists = [category["value"] for category in found["facets"]["category"] if category["count"] >= house.of(24, 1)][:10]
    shown = await connection.send(request("GET", f"/products/{ids[0]}", headers=[("accept", "text/html")]))
    connection.close()
    kinds = {
        "product, JSON": [f"{API}/products/{id}" for id in ids],
        "list of 24, filtered, JSON": [f"{API}/products?category={id}&sort=price&limit=24" for id in lists],
    }
    if shown.status == 200:
        kinds["product, HTML"] = [f"/products/{id}" for id in ids[:10]]
    else:
        house.book.remark(f"no product page in HTML: /products/… answered {shown.status}")
    return kinds


async def _pages(port: int, kinds: dict[str, list[str]]) -> dict[str, Page]:
    connection, pages = await Connection.open(port), dict[str, Page]()
    for path in (path for paths in kinds.values() for path in paths):
        answer = await connection.send(request("GET", path))
        pages[path] = page(answer.head, answer.body)
    connection.close()
    return pages
