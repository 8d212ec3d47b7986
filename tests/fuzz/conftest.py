"""A shop that runs in a thread of its own: what is thrown at it comes over the port, from outside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from tests.shop import Shop, open_shop

T = TypeVar("T")


class Beside:
    """The shop, its loop, and what exists in it: values for the paths' names."""

    def __init__(self, folder: Path) -> None:
        self.shop: Shop
        self._folder, self._open = folder, threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._open.wait(60), "the shop did not open"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(30)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Has it done in the shop's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _run(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with open_shop(self._folder, log_level="error") as self.shop:
            self._open.set()
            await self._closing.wait()


@pytest.fixture(scope="package")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Beside]:
    with Beside(tmp_path_factory.mktemp("fuzz")) as opened:
        yield opened
