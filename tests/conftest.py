"""What the tests of the whole share: one open shop for each way that contexts can talk."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.shop import MODES, Shop, Visitor, open_shop
from tests.shop.holding import everything_holds


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=MODES)
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """Contexts talk directly (local), or everything is encoded, decoded and delivered twice on its way, and no answer is kept (loopback)."""
    loopback = request.param == "loopback"
    async with open_shop(tmp_path_factory.mktemp(request.param), calls=request.param, response_cache=not loopback) as opened:
        yield opened
        description = (await Visitor(opened, prefix="").get("/openapi.json")).json
        assert not (undescribed := opened.answers.undescribed(description)), "\n".join(undescribed)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_order(shop: Shop) -> AsyncIterator[None]:
    """At the end of a module nothing may be out of order."""
    yield
    await everything_holds(shop)
