"""Server-Sent Events as a browser reads them, over the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec

from tests.shop.opening import Shop
from tests.shop.people import Buyer


class Stream:
    """What an open stream has told and tells: (id, event, data) one after another."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self, seconds: float = 60) -> tuple[str, str, Any]:
        async with asyncio.timeout(seconds):
            told: dict[str, str] = {}
            while True:
                line = (await self._response.content.readline()).decode().rstrip("\n")
                if not line and "data" in told:
                    return told.get("id", ""), told["event"], msgspec.json.decode(told["data"])
                name, colon, value = line.partition(": ")
                if name and colon:
                    told[name] = value


@asynccontextmanager
async def listening(shop: Shop, buyer: Buyer, path: str, after: str = "") -> AsyncIterator[Stream]:
    """A stream that the buyer has opened, behind an event's id."""
    headers = {"authorization": f"Bearer {buyer.token}", "accept": "text/event-stream", **({"last-event-id": after} if after else {})}
    async with aiohttp.ClientSession() as browser, browser.get(f"{shop.address}/api/v1{path}", headers=headers) as response:
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        yield Stream(response)
