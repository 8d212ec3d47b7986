"""One shop to attack, in which something has happened already."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.shop import Buyer, Shop, open_shop
from tests.shop.inhabited import inhabited
from torg.kit.http import Route
from torg.kit.http.identifying import SESSION_COOKIE
from torg.kit.testing.http import Answer, ask


@dataclass(frozen=True)
class Town:
    """The shop, who has bought in it, and values for the names in its paths."""

    shop: Shop
    buyer: Buyer
    known: dict[str, str]

    @property
    def routes(self) -> list[Route]:
        """Also the acquirer's."""
        assert self.shop.app.acquirer is not None
        return [*self.shop.routes, *self.shop.app.acquirer.http.routes]

    def path(self, route: Route) -> str:
        return "/".join(self.known.get(part[1:-1], "nothing") if part.startswith("{") else part for part in route.path.split("/"))

    async def open(self, method: str, target: str, token: str = "", **more: str) -> Answer:
        """As a browser does: by the session's cookie."""
        return await self.send(method, target, token, None, **more)

    async def send(self, method: str, target: str, token: str, form: bytes | None, **more: str) -> Answer:
        app = self.shop.app.acquirer.http if target.startswith("/acquirer/") and self.shop.app.acquirer else self.shop.app.http
        signed = {"cookie": f"{SESSION_COOKIE}={token}"} if token else {}
        headers: dict[str, Any] = {"accept": "text/html", "sec-fetch-site": "same-origin", **signed, **more}
        return await ask(app, method, target, raw=form, **({"content-type": "application/x-www-form-urlencoded"} if form else {}), **headers)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with open_shop(tmp_path_factory.mktemp("attacks")) as shop:
        buyer, known = await inhabited(shop)
        yield Town(shop, buyer, known)
