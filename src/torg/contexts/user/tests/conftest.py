from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.user.tests.house import House, open_house
from torg.kit.testing.redis import emptied, redis_url

__all__ = ["redis_url"]


@pytest.fixture
async def sql_house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


@pytest.fixture
async def redis_house(tmp_path: Path, redis_url: str) -> AsyncIterator[House]:
    async with emptied(redis_url) as redis, open_house(tmp_path, redis=redis) as house:
        yield house


@pytest.fixture(params=["sql", "redis"])
def house(request: pytest.FixtureRequest) -> House:
    """With and without Redis."""
    house: House = request.getfixturevalue(f"{request.param}_house")
    return house
