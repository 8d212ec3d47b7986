"""A real server of MongoDB's protocol for tests, with a database of its own for each of them."""

from __future__ import annotations

import gc
import os
import secrets
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import AsyncMongoClient

from torg.kit.testing.engines import running


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    """Import it into a conftest, or into the module that needs it."""
    with running("mongo") as environment:
        yield environment["TORG_DOCUMENTS"]


def base_of(url: str, name: str) -> str:
    """The same server's database of that name."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@asynccontextmanager
async def throw_away(url: str) -> AsyncIterator[str]:
    """The URL of an empty database; dropped afterwards where the server is somebody else's."""
    name = f"torg_{secrets.token_hex(6)}"
    try:
        yield base_of(url, name)
    finally:
        if os.environ.get("TORG_TEST_MONGO"):
            async with connected(url) as client:
                await client.drop_database(name)
        swept()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncMongoClient[dict[str, Any]]]:
    """To look behind an adapter."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, timeoutMS=30_000)
    try:
        yield client
    finally:
        await client.close()


def swept() -> None:
    """Collects what the driver leaves behind: connections that it was just making when it was closed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
