"""Signing in with a second factor in a real browser, and a form that is out of date."""

from __future__ import annotations

import base64
import time

import pytest

from tests.browser.visits import signed_in
from tests.browser.window import Window
from tests.shop import Shop
from tests.shop.goods import PASSWORD
from torg.contexts.user.model.factors import STEP, code_at

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_code_is_asked_for_after_the_password_once_an_app_was_set_up(shop: Shop, phone: Window) -> None:
    buyer, page = await shop.buyer(0), phone.page
    await signed_in(phone, buyer.email)
    await phone.go("/profile/second-factor")
    await phone.click("Set up an app")
    await page.locator("main svg").wait_for()
    assert await phone.fits()
    secret = base64.b32decode((await page.locator("#secret").text_content() or "").strip())
    await phone.fill(code=code_at(secret, int(time.time()) // STEP))
    await phone.click("Switch it on")
    await page.locator("#codes li").first.wait_for()
    recovery = (await page.locator("#codes li").first.text_content() or "").strip()
    assert await phone.fits()
    await phone.go("/profile")
    await phone.click("Sign out")
    phone.refused = ("/sign-in",)
    await phone.go("/sign-in")
    await phone.fill(email=buyer.email, password=PASSWORD)
    await page.locator("main form button").first.click()
    await phone.fill(code=recovery)
    await page.locator("main form button").first.click()
    await page.wait_for_url(lambda url: "/sign-in" not in url)
    await phone.go("/profile")
    await phone.shows("#sessions", "this one")


async def test_a_form_from_before_signing_in_is_refused_with_a_page_that_says_so(shop: Shop, window: Window) -> None:
    buyer = await shop.buyer(0)
    await signed_in(window, buyer.email)
    await window.go("/profile")
    await window.page.locator("#profile input[name=form_token]").evaluate("one => one.value = 'forged'")
    window.refused = ("/profile",)
    await window.fill(full_name="Mallory")
    await window.click("Save")
    await window.shows("main", "Open the page anew")
    window.refused = ()
    await window.go("/profile")
    assert await window.page.locator("#full_name").input_value() != "Mallory"


async def test_what_matters_asks_once_more_and_goes_on_with_what_was_begun(shop: Shop, phone: Window) -> None:
    buyer, page = await shop.buyer(0), phone.page
    await signed_in(phone, buyer.email)
    shop.clock.advance(minutes=11)
    await phone.go("/profile")
    phone.refused = ("/profile",)
    await phone.fill(email=f"new-{buyer.email}")
    await phone.click("Save")
    await phone.shows("h1", "Is it you?")
    assert await phone.fits()
    await phone.fill(proof_password="wrong-guess-1")
    await phone.click("Go on")
    await phone.shows(".fault", "not your password")
    await phone.fill(proof_password=PASSWORD)
    await phone.click("Go on")
    await phone.shows("#confirmation", f"new-{buyer.email}")
    shop.clock.advance(minutes=11)
    await phone.go("/profile")
    await phone.click("Download", role="link")
    await phone.fill(proof_password=PASSWORD)
    async with page.expect_download() as download:
        await phone.click("Go on")
    assert (await download.value).suggested_filename == "torg-my-data.json"
