"""What spans cost: the same shop with and without them, in turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.buyers import buyers, goods, order
from bench.house import House, quiet
from bench.processes import Shop
from bench.wire import API, hammer, request

SECTION = "Telemetry: spans of everything, sent to a collector, against none"


async def measure(house: House) -> None:
    async with _sink() as endpoint:
        with house.shop("silent", response_cache="false") as silent, house.shop("traced", response_cache="false", otlp=endpoint) as traced:
            await _orders(house, silent, traced)
            await _pages(house, silent, traced)


async def _orders(house: House, silent: Shop, traced: Shop) -> None:
    count, millis = house.of(600, 32), {silent.pid: list[float](), traced.pid: list[float]()}
    crowds = {shop.pid: (await buyers(shop.port, 32), await goods(shop.port, 400)) for shop in (silent, traced)}
    for turn in range(house.repeats + 1):
        for shop in (silent, traced):
            quiet(shop)
            cpu = shop.cpu()
            await order(*crowds[shop.pid], count)
            quiet(shop)
            if turn:  # the first is to warm up
                millis[shop.pid].append((shop.cpu() - cpu) * 1000 / count)
    _compare(house, "an order, whole flow", "CPU-ms each", millis[silent.pid], millis[traced.pid])


async def _pages(house: House, silent: Shop, traced: Shop) -> None:
    requests = [request("GET", f"{API}/products/{id}") for id in await goods(silent.port, 50)]
    micros = {silent.pid: list[float](), traced.pid: list[float]()}
    for _ in range(house.repeats):
        for shop in (silent, traced):
            quiet(shop)
            cpu = shop.cpu()
            burst = await hammer(shop.port, requests, house.seconds)
            quiet(shop)
            micros[shop.pid].append((shop.cpu() - cpu) * 1e6 / max(1, burst.answers) * burst.seconds / (burst.seconds + 0.15))
    _compare(house, "a product page, made anew, JSON", "CPU-µs each", micros[silent.pid], micros[traced.pid])


def _compare(house: House, what: str, unit: str, without: list[float], with_spans: list[float]) -> None:
    house.book.add(SECTION, f"{what}, without", unit, without)
    house.book.add(SECTION, f"{what}, with", unit, with_spans)
    house.book.add(SECTION, f"{what}, with / without", "times", [more / less for more, less in zip(with_spans, without, strict=True) if less])


@asynccontextmanager
async def _sink() -> AsyncIterator[str]:
    """A collector that takes everything and keeps nothing."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()  # the exporter has gone

    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=1 << 24)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
