"""Paying by card: the acquirer's page as a browser uses it, over the port."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.shop.people import Buyer
from torg.acquirer.cards import TEST_CARDS, Behaviour
from torg.kit.testing.waiting import until

EXPIRY, CODE = "12/30", "123"


async def page_of(buyer: Buyer, order_id: str) -> str:
    """Where the buyer is to pay, once that is known."""

    async def redirected() -> Any:
        return (await buyer.see(order_id))["payment"].get("redirect_url")

    address: str = await until(redirected, "there is a page to pay on")
    return address


async def pay(address: str, card: Behaviour) -> str:
    """Types a card in; gives where the acquirer leads on to, or the text of the page it shows."""
    return await decide(address, decision="pay", number=TEST_CARDS[card], expiry=EXPIRY, code=CODE)


async def decide(address: str, **typed: str) -> str:
    async with aiohttp.ClientSession() as browser, browser.post(address, data=typed, allow_redirects=False) as reply:
        assert reply.status in (200, 303), await reply.text()
        return reply.headers["location"] if reply.status == 303 else await reply.text()
