"""A process per context, and a search server: each of those that the shop can do without is killed, then made to hang, while somebody buys in a browser."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.visits import order, pay, signed_in
from tests.browser.window import opened
from tests.shop.afar import FarShop, open_far_shop
from tests.shop.holding import everything_holds
from torg.acquirer.cards import Behaviour
from torg.engines import run
from torg.engines.catalogue import named as engine_named
from torg.engines.port import Place
from torg.kit.testing.engines import started

pytestmark = [pytest.mark.browser, pytest.mark.fleet, pytest.mark.asyncio(loop_scope="session")]
SEARCH = "search"
LACKING = {
    SEARCH: ("/search", "/api/v1/products/suggest"),
    "review": ("/api/v1/products/",),
    "notification": ("/notifications", "/api/v1/notifications"),
    "analytics": ("/api/v1/analytics",),
    "admin": ("/admin",),
}
"""What cannot be answered without each of them; everything else has to be."""
SAID = {
    SEARCH: {"/": "What everybody buys", "/search?query=cheese": "The search is taking a break", "product": "Not every suggestion"},
    "review": {"product": "Reviews cannot be shown"},
    "notification": {"/notifications": "Notifications cannot be shown"},
    "analytics": {"product": "Not every suggestion"},
    "admin": {},
}


class Fleet:
    """The shop's processes, and the search server."""

    def __init__(self, shop: FarShop, search: Place) -> None:
        self.shop, self._search = shop, search

    @asynccontextmanager
    async def gone(self, part: str) -> AsyncIterator[None]:
        """Killed, and not started again until the block ends."""
        if part != SEARCH:
            async with self.shop.gone(part):
                yield
            return
        os.kill(self._pid(part), signal.SIGKILL)
        yield
        await asyncio.to_thread(run.start, engine_named("elastic"), self._search, _quietly)

    @asynccontextmanager
    async def hanging(self, part: str) -> AsyncIterator[None]:
        """It takes connections, and says nothing."""
        pid = self._pid(part)
        os.kill(pid, signal.SIGSTOP)
        yield
        os.kill(pid, signal.SIGCONT)

    def _pid(self, part: str) -> int:
        if part != SEARCH:
            return self.shop.supervisor.pids()[part]
        server = run.running(self._search)
        assert server is not None
        return server.pid


def _quietly(_: str) -> None: ...


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    with started("elastic") as (place, settings):
        async with open_far_shop(tmp_path_factory.mktemp("without"), "services", index=settings["TORG_INDEX"]) as shop:
            yield Fleet(shop, place)


@pytest.mark.parametrize("how", ["gone", "hanging"])
@pytest.mark.parametrize("part", LACKING)
async def test_somebody_buys_by_card(fleet: Fleet, chromium: Browser, part: str, how: str):
    buyer, product_id = await fleet.shop.buyer(), fleet.shop.product()
    paths = {"product": f"/products/{product_id}"}
    async with opened(chromium, fleet.shop.address, width=1280, height=900) as window, getattr(fleet, how)(part):
        window.lacking = LACKING[part]
        await signed_in(window, buyer.email)
        for place, sentence in SAID[part].items():
            await window.go(paths.get(place, place))
            await window.shows("[data-test=away]", sentence)
        for path in ("/", "/catalog", f"/products/{product_id}"):
            await window.go(path)
        await window.click("Add to cart")
        await window.shows("[data-cart-count]", "1")
        await window.go("/cart")
        await window.go("/checkout")
        await order(window, "card")
        await pay(window, Behaviour.SUCCESS)
        await window.is_at("confirmed")
        await window.go("/orders")
        assert not await window.page.locator("[data-test=away]").count()


async def test_all_of_it_comes_back_by_itself_and_nothing_was_missed(fleet: Fleet, chromium: Browser):
    product_id = fleet.shop.product()
    async with opened(chromium, fleet.shop.address, width=1280, height=900) as window:
        window.lacking = ("/",)
        for path in ("/", f"/products/{product_id}", "/search?query=cheese"):
            for _ in range(150):  # what was left alone is asked again within ten seconds, and pages are kept for as long
                await window.go(path)
                if not await window.page.locator("[data-test=away]").count():
                    break
                await window.page.wait_for_timeout(200)
            else:
                raise AssertionError(f"{path} still lacks something")
    await everything_holds(fleet.shop)
