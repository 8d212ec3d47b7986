"""A real Redis for tests, empty for each of them, and what shows that they left nothing behind that would stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis as Client

from torg import topology
from torg.kit.redis import SPACE, Redis
from torg.kit.testing.engines import running
from torg.kit.testing.waiting import until

OWNERS = frozenset(topology.CONTEXTS) | {"edge"}


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """Import it into a conftest, or into the module that needs it."""
    with running("redis") as environment:
        yield patient(environment["TORG_REDIS"])


def patient(url: str) -> str:
    """Has a client wait where the shop would not: on a busy machine half a second says nothing, and what is asked for again may count twice."""
    return f"{url}{'&' if '?' in url else '?'}socket_timeout=30&socket_connect_timeout=30"


@asynccontextmanager
async def emptied(url: str) -> AsyncIterator[Redis]:
    """A client of an empty Redis; afterwards every key must have an owner and an expiry."""
    async with Client.from_url(url) as raw:
        await raw.flushall()
        client = Redis(url)
        try:
            yield client
            assert not (faults := await lasting(raw)), "\n".join(faults)
        finally:
            await client.close()


@asynccontextmanager
async def listening(*clients: Redis) -> AsyncIterator[None]:
    """Has them follow their channels, once all are connected."""
    tasks = [asyncio.create_task(client.listen()) for client in clients]
    await until(lambda: all(client.listening for client in clients))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def lasting(raw: Client) -> list[str]:
    """A sentence for each key that never goes, or that nobody owns."""
    faults: list[str] = []
    name: bytes
    async for name in raw.scan_iter(count=1000):
        space, owner = [*name.decode(errors="replace").split(":"), ""][:2]
        if space != SPACE or owner not in OWNERS:
            faults.append(f"{name!r} has no known owner")
        if await raw.pttl(name) == -1:
            faults.append(f"{name!r} has no expiry")
    return faults
