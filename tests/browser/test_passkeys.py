"""Passkeys, with Chromium's own make-believe authenticator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Page

from tests.browser.visits import signed_in
from tests.browser.window import Window, opened
from tests.shop import Shop, open_shop
from tests.shop.goods import PASSWORD
from torg.kit.ports import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")
DEVICE = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}


@pytest_asyncio.fixture(loop_scope="session")
async def named(tmp_path: Path) -> AsyncIterator[Shop]:
    """Passkeys belong to a name, which 127.0.0.1 is not."""
    port = free_port()
    async with open_shop(tmp_path, port=port, public_url=f"http://localhost:{port}") as shop:
        yield shop


@pytest_asyncio.fixture(loop_scope="session")
async def desk(chromium: Browser, named: Shop) -> AsyncIterator[Window]:
    async with opened(chromium, named.address.replace("127.0.0.1", "localhost"), width=1280, height=900) as window:
        yield window


async def authenticator(page: Page) -> tuple[CDPSession, str]:
    devices = await page.context.new_cdp_session(page)
    await devices.send("WebAuthn.enable")
    return devices, (await devices.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE}))["authenticatorId"]


async def knows_its_holder(devices: CDPSession, device: str, knows: bool) -> None:
    await devices.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": knows})


async def added(desk: Window, name: str) -> None:
    await desk.go("/profile/second-factor")
    await desk.page.locator("#passkey-name").fill(name)
    await desk.click("Add a passkey")
    await desk.shows("#passkeys li", name)
    await desk.page.wait_for_load_state()


async def signed_out(desk: Window) -> None:
    await desk.go("/profile")
    await desk.click("Sign out")
    await desk.page.wait_for_url(lambda url: url.endswith("/"))


async def test_a_passkey_signs_in_alone_until_it_is_removed(named: Shop, desk: Window) -> None:
    buyer, page = await named.buyer(0), desk.page
    devices, device = await authenticator(page)
    await signed_in(desk, buyer.email)
    await added(desk, "My laptop")
    for _ in range(2):
        await signed_out(desk)
        await desk.go("/sign-in?next=/profile")
        await desk.click("Sign in with a passkey")
        await page.wait_for_url(lambda url: "/sign-in" not in url)
    await knows_its_holder(devices, device, False)
    await signed_out(desk)
    await desk.go("/sign-in?next=/profile")
    await desk.click("Sign in with a passkey")
    await page.wait_for_timeout(1000)
    assert "/sign-in" in page.url, "a device that does not know who holds it opens nothing"
    await signed_in(desk, buyer.email)
    await desk.go("/profile/second-factor")
    async with page.expect_navigation():
        await desk.click("Remove My laptop")
    assert await page.locator("#passkeys li").count() == 0
    await knows_its_holder(devices, device, True)
    await signed_out(desk)
    desk.refused = ("/sign-in",)
    await desk.go("/sign-in?next=/profile")
    await desk.click("Sign in with a passkey")
    await desk.shows("main", "unknown here")


async def test_a_passkey_is_the_step_after_the_password_and_a_recovery_code_the_way_out(named: Shop, desk: Window) -> None:
    buyer, page = await named.buyer(0), desk.page
    devices, device = await authenticator(page)
    await signed_in(desk, buyer.email)
    await added(desk, "My laptop")
    await desk.click("Ask for a passkey after the password")
    await page.locator("#codes li").first.wait_for()
    recovery = (await page.locator("#codes li").first.text_content() or "").strip()
    await signed_out(desk)
    desk.refused = ("/sign-in",)
    await with_password(desk, buyer.email)
    await desk.click("Use your passkey")
    await page.wait_for_url(lambda url: url.endswith("/profile"))
    await signed_out(desk)
    await knows_its_holder(devices, device, False)
    await with_password(desk, buyer.email)
    await desk.click("Use your passkey")
    await page.wait_for_timeout(1000)
    assert "/sign-in" in page.url
    await page.get_by_text("The passkey is not at hand").click()
    await desk.fill(code=recovery)
    await desk.click("Sign in")
    await page.wait_for_url(lambda url: url.endswith("/profile"))


async def with_password(desk: Window, email: str) -> None:
    await desk.go("/sign-in?next=/profile")
    await desk.fill(email=email, password=PASSWORD)
    await desk.page.locator("main form button").first.click()
    await desk.shows("h1", "One more step")


async def test_a_passkey_is_enough_where_somebody_is_asked_once_more(named: Shop, desk: Window) -> None:
    buyer, page = await named.buyer(0), desk.page
    await authenticator(page)
    await signed_in(desk, buyer.email)
    await added(desk, "My laptop")
    named.clock.advance(minutes=11)
    desk.refused = ("/profile",)
    await page.goto(f"{desk.address}/profile/second-factor")
    await desk.click("Use a passkey")
    await desk.click("Remove My laptop")
    await desk.shows("#said p", "opens nothing any more")


async def test_at_an_address_that_is_a_number_the_page_says_why_there_are_none_and_leads_to_where_there_are(shop: Shop, window: Window) -> None:
    buyer = await shop.buyer(0)
    await signed_in(window, buyer.email)
    await window.go("/profile/second-factor")
    assert not await window.page.get_by_role("button", name="Add a passkey").is_visible()
    await window.shows("#passkeys", "the address of this page is a number")
    await window.page.locator("[data-passkeys-nameless] a").click()
    await window.page.wait_for_url(lambda url: "//localhost:" in url)
    await authenticator(window.page)
    await window.fill(email=buyer.email, password=PASSWORD)
    await window.page.locator("main form button").first.click()
    await window.page.wait_for_url(lambda url: url.endswith("/profile/second-factor"))
    await window.page.locator("#passkey-name").fill("By name")
    await window.click("Add a passkey")
    await window.shows("#passkeys li", "By name")
