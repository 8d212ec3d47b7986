"""The sandbox acquirer's page is another application's, whatever port it shares with the shop."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Request

from tests.browser.visits import order, signed_in
from tests.browser.window import Window
from tests.shop import Shop
from torg.acquirer.cards import TEST_CARDS, Behaviour

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_the_card_page_is_of_an_origin_of_its_own_and_gets_no_cookie_with_a_card(shop: Shop, window: Window) -> None:
    page, sent = window.page, list[Request]()
    await signed_in(window, (await shop.buyer()).email)
    await window.go(f"/products/{shop.product()}")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await order(window, "card")
    await page.wait_for_url("**/acquirer/pay/*")
    assert await page.evaluate("() => window.origin") == "null"
    assert "SecurityError" in await page.evaluate("() => { try { return document.cookie } catch (error) { return String(error) } }")
    assert await page.evaluate("() => { try { return localStorage.length } catch (error) { return 'away' } }") == "away"

    def note(request: Request) -> None:
        sent.append(request)

    page.on("request", note)
    for name, value in (("number", TEST_CARDS[Behaviour.SUCCESS]), ("expiry", "12/30"), ("code", "123")):
        await page.locator(f"[name={name}]").fill(value)
    await page.locator("button[name=decision][value=pay]").click()
    await page.wait_for_url(re.compile("/orders/[0-9a-f-]{36}"))
    told = await sent[0].all_headers()  # by the browser, cookies included
    assert (told.get("cookie", ""), told.get("origin", "")) == ("", "null"), "no cookie of the shop's, and no word of where it comes from"
    assert await page.evaluate("() => window.origin") == shop.address, "back in the shop, with its session"
