"""The shop in which everybody races: contexts dawdle, so that whatever can come in between does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio

from tests.shop import MODES, Shop, open_shop


@pytest_asyncio.fixture(scope="package", loop_scope="session", params=MODES)
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp(f"races-{request.param}")
    async with open_shop(folder, dawdling=Random(17), calls=request.param, response_cache=False) as opened:
        yield opened
