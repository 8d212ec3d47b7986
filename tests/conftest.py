"""What the tests of the whole share: one open shop for each way that contexts can talk."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.shop import MODES, Shop, Visitor, open_shop
from tests.shop.afar import open_far_shop
from tests.shop.holding import everything_holds


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--topology", default="", help="run the journeys against processes: services, order,payment, or a topology file")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Journeys run in this process, once for each way that contexts can talk; or in the processes of a topology that was asked for."""
    if "shop" in metafunc.fixturenames and "journeys" in metafunc.definition.path.parts:
        chosen: str = metafunc.config.getoption("--topology")
        metafunc.parametrize("shop", [chosen] if chosen else MODES, indirect=True, scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """Contexts talk directly (local), or everything is encoded, decoded and delivered twice on its way, and no answer is kept (loopback); or over HTTP."""
    folder = tmp_path_factory.mktemp("shop")
    loopback = request.param == "loopback"
    opening = open_shop(folder, calls=request.param, response_cache=not loopback) if request.param in MODES else open_far_shop(folder, request.param)
    async with opening as opened:
        yield opened
        description = (await Visitor(opened, prefix="").get("/openapi.json")).json
        assert not (undescribed := opened.answers.undescribed(description)), "\n".join(undescribed)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_order(shop: Shop) -> AsyncIterator[None]:
    """At the end of a module nothing may be out of order."""
    yield
    await everything_holds(shop)
