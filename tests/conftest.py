"""What the tests of the whole share: one open shop for each way that contexts can talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import pytest_asyncio

from tests.shop import MODES, Shop, Visitor, open_shop
from tests.shop.afar import Cost, open_far_shop
from tests.shop.holding import everything_holds

COST = pytest.StashKey[Cost]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--topology", default="", help="run the journeys against processes: services, order,payment, or a topology file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COST] = Cost()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[COST].wall:
        terminalreporter.write_line(f"{config.getoption('--topology')} on {config.getoption('--engines')} engines: {config.stash[COST]}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Journeys run in this process, once for each way that contexts can talk; or in the processes of a topology that was asked for."""
    if "shop" in metafunc.fixturenames and "journeys" in metafunc.definition.path.parts:
        chosen: str = metafunc.config.getoption("--topology")
        metafunc.parametrize("shop", [chosen] if chosen else MODES, indirect=True, scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """Contexts talk directly (local), or everything is encoded, decoded and delivered twice on its way, and no answer is kept (loopback); or over HTTP."""
    folder = tmp_path_factory.mktemp("shop")
    if request.param in MODES:
        opening: AbstractAsyncContextManager[Shop] = open_shop(folder, calls=request.param, response_cache=request.param != "loopback")
    else:
        opening = open_far_shop(folder, request.param, request.config.getoption("--engines") == "server", request.config.stash[COST])
    async with opening as opened:
        yield opened
        description = (await Visitor(opened, prefix="").get("/openapi.json")).json
        assert not (undescribed := opened.answers.undescribed(description)), "\n".join(undescribed)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_order(shop: Shop) -> AsyncIterator[None]:
    """At the end of a module nothing may be out of order."""
    yield
    await everything_holds(shop)
