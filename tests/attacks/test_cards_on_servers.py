"""Card numbers that people type into a shop on servers: none of these keeps one either (PCI DSS 4.0.1, SAQ A)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.attacks.cards import CARDS, has_card, holding_cards, paid_by_card, said_in_headers, typed_into_the_api, typed_into_the_pages
from tests.attacks.conftest import Town
from tests.attacks.kept import READ
from tests.shop import open_shop
from tests.shop.inhabited import inhabited
from torg.engines.catalogue import ENGINES
from torg.kit.testing.engines import running
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def town(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        engines = [stack.enter_context(running(engine.name)) for engine in ENGINES]
        named: dict[str, Any] = {name.removeprefix("TORG_").lower(): url for settings in engines for name, url in settings.items()}
        shop = await stack.enter_async_context(open_shop(tmp_path_factory.mktemp("attacked"), **{name: named[name] for name in READ}))
        buyer, known = await inhabited(shop)
        yield Town(shop, buyer, known)


async def test_no_server_keeps_one_wherever_it_is_typed(town: Town):
    await typed_into_the_api(town, CARDS[0])
    await typed_into_the_pages(town, CARDS[0])
    await said_in_headers(town, CARDS[0])
    await paid_by_card(town)
    await town.buyer.put_in_cart(town.known["product_id"], 1)
    await town.shop.settle()

    settings, order_id, product_id = town.shop.app.settings, town.known["order_id"], town.known["product_id"]
    there = {"db": order_id, "bus": order_id, "redis": product_id, "documents": product_id, "index": product_id, "facts": order_id}
    for name, read in READ.items():
        url = getattr(settings, name)

        async def is_there() -> bool:
            return any([there[name] in text async for text in read(url)])  # noqa: B023 asked within this turn

        await until(is_there, f"{name} has what it is known to keep")
        assert not [text[:200] async for text in read(url) if has_card(text)], name
    assert not holding_cards(Path(settings.data))
