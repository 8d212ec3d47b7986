"""A browser, and a shop on a real port for it. Where Chromium is missing these tests are left out, but not where CI says so (CI=true)."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.window import Window, opened
from tests.shop import SOON, Shop, open_shop

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    async with open_shop(tmp_path_factory.mktemp("browser"), second_look=SOON) as open_one:
        yield open_one


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    found = os.environ.get("TORG_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing = "there is no Chromium here (Debian: apt-get install chromium; TORG_CHROMIUM names another one)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(chromium: Browser, shop: Shop) -> AsyncIterator[Window]:
    """On a desk. At the end nothing may have gone wrong in it."""
    async with opened(chromium, shop.address, width=1280, height=900) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def phone(chromium: Browser, shop: Shop) -> AsyncIterator[Window]:
    """In a hand. At the end nothing may have gone wrong in it."""
    async with opened(chromium, shop.address, width=360, height=740) as one:
        yield one
