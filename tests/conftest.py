"""What the tests of the whole share: one open shop for each way that contexts can talk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack

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


class Shops:
    """A shop of each mode, opened when a test first asks for it and closed at the end of all: modules take turns with the modes."""

    def __init__(self, config: pytest.Config, folders: pytest.TempPathFactory) -> None:
        self._config, self._folders = config, folders
        self._open: dict[str, Shop] = {}
        self._closing = AsyncExitStack()

    async def of(self, mode: str) -> Shop:
        if mode not in self._open:
            self._open[mode] = await self._closing.enter_async_context(self._opening(mode))
        return self._open[mode]

    def _opening(self, mode: str) -> AbstractAsyncContextManager[Shop]:
        folder = self._folders.mktemp("shop")
        if mode in MODES:
            return open_shop(folder, calls=mode, response_cache=mode != "loopback")
        return open_far_shop(folder, mode, self._config.getoption("--engines") == "server", self._config.stash[COST])

    async def close(self) -> None:
        """No answer of any was one that the description does not have."""
        async with self._closing:
            for opened in self._open.values():
                description = (await Visitor(opened, prefix="").get("/openapi.json")).json
                assert not (undescribed := opened.answers.undescribed(description)), "\n".join(undescribed)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shops(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shops]:
    opened = Shops(request.config, tmp_path_factory)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop(request: pytest.FixtureRequest, shops: Shops) -> Shop:
    """Contexts talk directly (local), or everything is encoded, decoded and delivered twice on its way, and no answer is kept (loopback); or over HTTP."""
    return await shops.of(request.param)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def in_order(shop: Shop) -> AsyncIterator[None]:
    """At the end of a module nothing may be out of order."""
    yield
    await everything_holds(shop)
